"""The variables that attach an unmodified SDK worker to this endpoint instead of RunPod's cloud."""

from pathlib import Path
from urllib.parse import quote_plus

from gpu_worker.local_endpoint.limits import Limits

PARKED_POLLS = 3
"""The SDK then always keeps one job-take open; with 2 it would not, since a job counts twice right after its take."""


def worker_environment(
    base_url: str,
    endpoint: str,
    worker_id: str,
    worker_key: str,
    home: Path,
    limits: Limits | None = None,
    gpu_name: str = "cpu",
) -> dict[str, str]:
    """What to add to a worker's environment. The `?` is needed: the SDK appends `&name=value` to these addresses.

    home : an empty folder: the SDK prefers a key in `~/.runpod/config.toml` over the one given here
    """
    base = f"{base_url}/v2/{endpoint}"
    query = f"?gpu={quote_plus(gpu_name)}"
    ping_interval_s = (limits or Limits()).ping_interval_s
    return {
        "RUNPOD_ENDPOINT_ID": endpoint,
        "RUNPOD_POD_ID": worker_id,
        "RUNPOD_AI_API_KEY": worker_key,
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID{query}",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID{query}",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID{query}",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID{query}",
        "RUNPOD_PING_INTERVAL": str(round(ping_interval_s * 1000)),
        "RUNPOD_SKIP_GPU_CHECK": "true",
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "WORKER_PARKED_POLLS": str(PARKED_POLLS),
        "HOME": str(home),
    }
