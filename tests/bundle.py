"""The bundle as the Databricks CLI reads and deploys it, as far as that needs no workspace: files, targets, names."""

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
REFERENCE = re.compile(r"\$\{([^}]*)\}")
TOP_LEVEL = {"artifacts", "bundle", "include", "permissions", "presets", "resources", "run_as", "sync", "targets"}
TOP_LEVEL |= {"variables", "workspace"}
ME = {"current_user.userName": "me@example.com", "current_user.short_name": "me"}  # who deploys, in what is rendered


class Loader(yaml.SafeLoader):
    """Reads YAML, and refuses a key in two of the maps that are merged: the CLI takes the last, others the first."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.flatten_mapping(each)
                    keys += [inner.value for inner, _ in each.value]
        if len(keys) != len(set(keys)):
            raise ValueError(
                f"{node.start_mark}: {sorted({key for key in keys if keys.count(key) > 1})} are merged twice"
            )
        super().flatten_mapping(node)


@dataclass
class Bundle:
    """What databricks.yml and the files it includes say.

    Attributes:
        config: the top-level keys, `resources` of all files together.
        files: resource file to the pairs of type and key it defines.
        stray: top-level keys the CLI would warn of.
    """

    config: dict[str, Any]
    files: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    stray: list[str] = field(default_factory=list)

    def copy(self) -> "Bundle":
        return copy.deepcopy(self)

    @property
    def resources(self) -> dict[str, dict[str, dict]]:
        return self.config["resources"]

    @property
    def jobs(self) -> dict[str, dict]:
        return self.resources["jobs"]


def read_bundle(root: Path = ROOT) -> Bundle:
    """Read the bundle of a folder."""
    bundle = Bundle(yaml.load((root / "databricks.yml").read_text(), Loader))
    bundle.stray = sorted(set(bundle.config) - TOP_LEVEL)
    resources = bundle.config.setdefault("resources", {})
    for file in sorted(file for pattern in bundle.config["include"] for file in root.glob(pattern)):
        text = file.read_text()
        said = yaml.load(text, Loader)
        bundle.stray += [key for key in said if key != "resources" and not re.search(rf"^{key}: &\w+$", text, re.M)]
        bundle.files[file.name] = [(kind, key) for kind, found in said["resources"].items() for key in found]
        for kind, found in said["resources"].items():
            resources.setdefault(kind, {}).update(found)
    # Anchors give the same object in several places; a change of one is not to be one of all.
    bundle.config = yaml.load(dump(bundle.config), Loader)
    return bundle


def dump(value: Any) -> str:
    """Write YAML without anchors, keys in their order."""
    dumper = yaml.SafeDumper
    dumper.ignore_aliases = lambda *_: True
    return yaml.dump(value, Dumper=dumper, sort_keys=False, width=120, allow_unicode=True)


def references(value: Any) -> list[str]:
    """List what stands in `${…}` anywhere in a value."""
    return [name for text in texts(value) for name in REFERENCE.findall(text)]


def texts(value: Any) -> list[str]:
    """List all texts in a value, keys left out."""
    if isinstance(value, dict | list):
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in texts(each)]
    return [value] if isinstance(value, str) else []


def render(bundle: Bundle, target: str) -> dict[str, Any]:
    """Give the resources of a target as they would be deployed: names prefixed, references filled in."""
    config = bundle.copy().config
    chosen = config["targets"][target]
    resources = _merge(config["resources"], chosen.get("resources", {}))
    for job in resources["jobs"].values():
        job["permissions"] = job.get("permissions", []) + chosen.get("permissions", [])
        job |= {"run_as": chosen["run_as"]} if "run_as" in chosen else {}
    for experiment in resources["experiments"].values():
        experiment["permissions"] = experiment.get("permissions", []) + chosen.get("permissions", [])
    _apply_mode(resources, chosen)
    known = {f"workspace.{name}": value for name, value in ME.items()}
    known |= {"bundle.name": config["bundle"]["name"], "bundle.target": target}
    root = chosen.get("workspace", {}).get("root_path")
    known["workspace.root_path"] = root or "/Workspace/Users/${workspace.current_user.userName}/.bundle/fruits/dev"
    for name, variable in config["variables"].items():
        known[f"var.{name}"] = chosen.get("variables", {}).get(name, variable.get("default"))
    for kind, found in resources.items():
        for key, resource in found.items():
            known |= {f"resources.{kind}.{key}.{name}": value for name, value in resource.items()}
    for key, volume in resources["volumes"].items():
        place = "/".join(volume[name] for name in ("catalog_name", "schema_name", "name"))
        known[f"resources.volumes.{key}.volume_path"] = f"/Volumes/{place}"
    for key, model in resources["registered_models"].items():
        place = ".".join(model[name] for name in ("catalog_name", "schema_name", "name"))
        known[f"resources.registered_models.{key}.full_name"] = place
    return _fill(resources, known)


def _merge(base: dict, over: dict) -> dict:
    for key, value in over.items():
        base[key] = _merge(base.get(key, {}), value) if isinstance(value, dict) else value
    return base


def _apply_mode(resources: dict[str, Any], target: dict[str, Any]) -> None:
    """Do what development mode and the presets of a target do to names, tags and triggers."""
    presets = target.get("presets", {})
    prefix, pause = presets.get("name_prefix", ""), presets.get("trigger_pause_status")
    if target["mode"] == "development":
        me = ME["current_user.short_name"]
        prefix, pause = f"[dev {me}] ", "PAUSED"
        for job in resources["jobs"].values():
            job.setdefault("tags", {})["dev"] = me
    plain = re.sub(r"\W+", "_", prefix).strip("_") + "_" if prefix else ""
    for job in resources["jobs"].values():
        job["name"] = prefix + job["name"]
        if pause and "trigger" in job:
            job["trigger"].setdefault("pause_status", pause)
    for experiment in resources["experiments"].values():
        folder, _, name = experiment["name"].rpartition("/")
        experiment["name"] = f"{folder}/{prefix}{name}"
    for kind in ("schemas", "registered_models"):
        for resource in resources[kind].values():
            resource["name"] = plain + resource["name"]


def _fill(value: Any, known: dict[str, Any]) -> Any:
    """Fill references in, those within what was filled in too; an unknown one is a KeyError."""
    if isinstance(value, dict):
        return {key: _fill(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, known) for each in value]
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        return _fill(known[whole[1]], known)
    return REFERENCE.sub(lambda found: str(_fill(known[found[1]], known)), value)
