"""Parameters of the stack for the cluster of the notebooks: which release it installs, and a name of its own."""

import time
from typing import TYPE_CHECKING

import fruits
from fruits.errors import FruitsError
from fruits.platform.emr_active import is_alive
from fruits.platform.emr_checks import read_release
from fruits.platform.emr_requests import wheelhouse
from fruits.platform.emr_stack import DEFAULTS, describe_stack

if TYPE_CHECKING:
    from fruits.platform.aws import Aws


def ask_cluster(aws: "Aws", stack: str, architecture: str | None) -> dict[str, str]:
    """Give the parameters that make a cluster, or keep the one that is alive.

    Args:
        aws: the login.
        stack: its name; it has to be there, since its bucket holds the release.
        architecture: that was asked for; None for the stack's.

    Raises:
        FruitsError: no stack yet, or the release is not published for the architecture.
    """
    found = describe_stack(aws, stack)
    before = {each["ParameterKey"]: each["ParameterValue"] for each in (found or {}).get("Parameters", [])}
    outputs = {each["OutputKey"]: each["OutputValue"] for each in (found or {}).get("Outputs", [])}
    if "Bucket" not in outputs:
        raise FruitsError(
            f"stack {stack!r} is not there yet; deploy without --cluster, then `fruits emr build` and `fruits emr "
            "publish`, then deploy with it"
        )
    if keep_cluster(aws, stack, architecture) == {}:
        return {}
    architecture = architecture or before.get("Architecture") or DEFAULTS["Architecture"]
    release = read_release(aws, outputs["Bucket"], fruits.__version__, architecture, on_cluster=True)
    return {
        "ClusterName": f"{stack}-notebooks-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}",
        "ReleaseVersion": release.version,
        "WheelhouseSha256": release.files[wheelhouse(architecture)]["sha256"],
    }


def keep_cluster(aws: "Aws", stack: str, architecture: str | None) -> dict[str, str]:
    """Give the parameters that leave an alive cluster alone, and take one out of the stack that has ended.

    Raises:
        FruitsError: the architecture is to change under an alive cluster.
    """
    found = describe_stack(aws, stack)
    before = {each["ParameterKey"]: each["ParameterValue"] for each in (found or {}).get("Parameters", [])}
    outputs = {each["OutputKey"]: each["OutputValue"] for each in (found or {}).get("Outputs", [])}
    if "ClusterId" not in outputs or not is_alive(aws, outputs["ClusterId"]):
        return {"ClusterName": ""}
    if architecture not in (None, before.get("Architecture")):
        raise FruitsError(
            f"cluster {outputs['ClusterId']} is alive and {before.get('Architecture')}; "
            f"end it first, `fruits emr stop {outputs['ClusterId']}`"
        )
    return {}
