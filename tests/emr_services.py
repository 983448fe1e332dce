"""EMR and EMR Serverless as a test wants them: runs that go through the states it says, on a clock of their own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ConnectionClosedError
from emr_account import APPLICATION

OVER = {"SUCCESS", "FAILED", "CANCELLED", "TERMINATED", "TERMINATED_WITH_ERRORS"}
USED = {"vCPUHour": 1.25, "memoryGBHour": 2.5, "storageGBHour": 0.0}  # as an answer about a run may say
START = 1_700_000_000  # before anything the tests put into S3


@dataclass
class Fault:
    """Something that goes wrong with the next calls of an operation.

    Attributes:
        operation: StartJobRun, …
        status: HTTP status; 0 for a lost connection.
        code, message: AWS' own.
        late: the call has done its work before.
        times: how many calls; endless below 0.
    """

    operation: str
    status: int = 0
    code: str = "InternalServerError"
    message: str = "Something went wrong."
    late: bool = False
    times: int = 1


@dataclass
class Emr:
    """The two services.

    Attributes:
        now: seconds since 1970; goes on when somebody sleeps.
        states: what a new run goes through, a state per look; the last one stays. The state of a cluster may be a pair
            with that of its step.
        faults: what goes wrong.
        keeps_policy: whether AWS keeps the auto-termination policy it is given; None for only one set afterwards.
        keeps_cluster: whether AWS keeps a new cluster after its step, whatever the request says.
        jobs, clusters: what there is, by id.
        end: more of the answer about a run that is over.
        on_look: called at every look at a run, with how many there were.
    """

    now: float = START
    states: list[Any] = field(default_factory=lambda: ["SUBMITTED", "RUNNING", "SUCCESS"])
    faults: list[Fault] = field(default_factory=list)
    keeps_policy: bool | None = True
    keeps_cluster: bool = False
    jobs: dict[str, dict] = field(default_factory=dict)
    clusters: dict[str, dict] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    on_look: Callable[[int], None] = lambda looks: None
    looks: int = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def answer(self, operation: str, asked: dict) -> tuple[int, dict]:
        """Do what an operation does, after and before what is to go wrong with it."""
        fault = next((each for each in self.faults if each.operation == operation and each.times), None)
        if fault:
            fault.times -= 1
            if fault.late:
                getattr(self, operation)(**asked)
            if not fault.status:
                raise ConnectionClosedError(endpoint_url="https://emr")
            return fault.status, {"__type": fault.code, "message": fault.message, "Message": fault.message}
        try:
            return 200, getattr(self, operation)(**asked) or {}
        except KeyError as missing:
            code = "InvalidRequestException" if str(missing).startswith("'j-") else "ResourceNotFoundException"
            return 400, {"__type": code, "message": f"{missing} is not valid", "Message": f"{missing} is not valid"}

    # EMR Serverless

    def StartJobRun(self, **asked: Any) -> dict:
        known = next(
            (each for each in self.jobs.values() if each["asked"]["clientToken"] == asked["clientToken"]), None
        )
        job = known or self.add_job(asked)
        return {"applicationId": APPLICATION, "jobRunId": job["id"], "arn": _arn(job["id"])}

    def add_job(self, asked: dict) -> dict:
        job_id = f"00run{len(self.jobs) + 1}"
        self.jobs[job_id] = {"id": job_id, "asked": asked, "states": self.states[:], "created": self.now}
        return self.jobs[job_id]

    def GetJobRun(self, applicationId: str, jobRunId: str) -> dict:
        job = self.jobs[jobRunId]
        self._look(job)
        about = self._about(job) | {
            "jobRunId": jobRunId,
            "jobDriver": job["asked"]["jobDriver"],
            "tags": job["asked"]["tags"],
        }
        del about["id"]
        if about["state"] in OVER:
            about |= {"endedAt": job["ended"]} | self.end
        return {"jobRun": about}

    def ListJobRuns(self, applicationId: str, states: Any = (), maxResults: Any = 50, nextToken: str = "0") -> dict:
        wanted = [states] if isinstance(states, str) else states
        found = [self._about(job) for job in reversed(self.jobs.values()) if not wanted or job["states"][0] in wanted]
        start, size = int(nextToken), int(maxResults)
        more = {"nextToken": str(start + size)} if len(found) > start + size else {}
        return {"jobRuns": found[start : start + size]} | more

    def CancelJobRun(self, applicationId: str, jobRunId: str) -> dict:
        self.jobs[jobRunId]["states"] = ["CANCELLING", "CANCELLING", "CANCELLED"]
        return {"applicationId": applicationId, "jobRunId": jobRunId}

    def _about(self, job: dict) -> dict:
        return {
            "applicationId": APPLICATION,
            "id": job["id"],
            "name": job["asked"]["name"],
            "arn": _arn(job["id"]),
            "createdBy": "arn:aws:iam::123456789012:user/ana",
            "createdAt": job["created"],
            "updatedAt": self.now,
            "executionRole": job["asked"]["executionRoleArn"],
            "state": job["states"][0],
            "stateDetails": "As it should be.",
            "releaseLabel": "emr-spark-8.1.0",
        }

    # EMR

    def RunJobFlow(self, **asked: Any) -> dict:
        return {"JobFlowId": self.add_cluster(asked)["id"]}

    def add_cluster(self, asked: dict) -> dict:
        cluster_id = f"j-{len(self.clusters) + 1}"
        policy = asked.get("AutoTerminationPolicy") if self.keeps_policy else None
        stays = self.keeps_cluster or asked["Instances"]["KeepJobFlowAliveWhenNoSteps"]
        self.clusters[cluster_id] = {"id": cluster_id, "asked": asked, "states": self.states[:], "created": self.now}
        self.clusters[cluster_id] |= {"policy": policy, "stays": stays}
        return self.clusters[cluster_id]

    def DescribeCluster(self, ClusterId: str) -> dict:
        cluster = self.clusters[ClusterId]
        self._look(cluster)
        return {
            "Cluster": self._summary(cluster)
            | {"Tags": cluster["asked"]["Tags"], "AutoTerminate": not cluster["stays"]}
        }

    def ListClusters(self, ClusterStates: Any = (), Marker: str = "") -> dict:
        found = [self._summary(each) for each in reversed(self.clusters.values())]
        return {"Clusters": [each for each in found if not ClusterStates or each["Status"]["State"] in ClusterStates]}

    def ListSteps(self, ClusterId: str) -> dict:
        cluster = self.clusters[ClusterId]
        state = _pair(cluster["states"][0])[1]
        return {
            "Steps": [
                {
                    "Id": "s-1",
                    "Name": step["Name"],
                    "Config": {"Jar": step["HadoopJarStep"]["Jar"], "Args": step["HadoopJarStep"]["Args"]},
                    "Status": {"State": state} | (self.end.get("step", {}) if state == "FAILED" else {}),
                }
                for step in cluster["asked"].get("Steps", [])
            ]
        }

    def ListInstances(self, ClusterId: str, InstanceStates: Any = ()) -> dict:
        cluster = self.clusters[ClusterId]
        line = {"CreationDateTime": cluster["created"]} | (
            {"EndDateTime": cluster["ended"]} if "ended" in cluster else {}
        )
        return {
            "Instances": [
                {"Id": f"i-{number}", "InstanceType": "m7i.xlarge", "Market": market, "Status": {"Timeline": line}}
                for number, market in enumerate(["ON_DEMAND", "ON_DEMAND", "SPOT", "SPOT"])
            ]
        }

    def GetAutoTerminationPolicy(self, ClusterId: str) -> dict:
        policy = self.clusters[ClusterId]["policy"]
        return {"AutoTerminationPolicy": policy} if policy else {}

    def PutAutoTerminationPolicy(self, ClusterId: str, AutoTerminationPolicy: dict) -> None:
        if self.keeps_policy is not False:
            self.clusters[ClusterId]["policy"] = AutoTerminationPolicy

    def SetKeepJobFlowAliveWhenNoSteps(self, JobFlowIds: list[str], KeepJobFlowAliveWhenNoSteps: bool) -> None:
        for cluster in JobFlowIds:
            self.clusters[cluster]["stays"] = KeepJobFlowAliveWhenNoSteps

    def TerminateJobFlows(self, JobFlowIds: list[str]) -> None:
        for cluster in JobFlowIds:
            self.clusters[cluster]["states"] = [("TERMINATING", "CANCELLED"), ("TERMINATED", "CANCELLED")]

    def _summary(self, cluster: dict) -> dict:
        state = _pair(cluster["states"][0])[0]
        end = {"EndDateTime": cluster["ended"]} if "ended" in cluster else {}
        status = {"State": state, "Timeline": {"CreationDateTime": cluster["created"]} | end}
        return {
            "Id": cluster["id"],
            "Name": cluster["asked"]["Name"],
            "Status": status | (self.end.get("cluster", {}) if state in OVER else {}),
        }

    def _look(self, run: dict) -> None:
        """Go on to the next state, after it was seen once."""
        self.looks += 1
        self.on_look(self.looks)
        if run.setdefault("seen", False) and len(run["states"]) > 1:
            run["states"].pop(0)
        run["seen"] = True
        if _pair(run["states"][0])[0] in OVER:
            run.setdefault("ended", self.now)


def press_at(look: int) -> Callable[[int], None]:
    """Give what presses Ctrl-C at one of the looks at a run."""

    def on_look(looks: int) -> None:
        if looks == look:
            raise KeyboardInterrupt

    return on_look


def _pair(state: Any) -> tuple[str, str]:
    return state if isinstance(state, tuple) else (state, "PENDING")


def _arn(job_id: str) -> str:
    return f"arn:aws:emr-serverless:eu-west-3:123456789012:/applications/{APPLICATION}/jobruns/{job_id}"
