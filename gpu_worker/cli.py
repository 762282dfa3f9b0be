"""The `tryon-worker` command. Progress on stderr, results as JSON on stdout, exit 2 with one line on bad input."""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

EXIT_BAD_INPUT = 2


class BadInput(Exception):
    """What was given cannot be used; the text is the one line that is shown."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit 2."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    try:
        options.run(options)
    except BadInput as error:
        print(f"tryon-worker {options.command}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


def serve(options: argparse.Namespace) -> None:
    """Keep one worker attached to a local endpoint."""
    from gpu_worker.local_endpoint.supervisor import NotAdmitted, WorkerSettings, supervise  # noqa: PLC0415
    from gpu_worker.settings import Settings, SettingsError, is_origin  # noqa: PLC0415

    endpoint_url = options.endpoint.rstrip("/")
    if not is_origin(endpoint_url):
        raise BadInput("--endpoint must be scheme://host[:port], such as http://127.0.0.1:8100")
    try:
        Settings.from_env(os.environ)  # the worker would refuse to start, again and again
    except SettingsError as error:
        raise BadInput(str(error)) from error
    command = [sys.executable, "-u", "-m", "gpu_worker.main"]
    try:
        asyncio.run(supervise(WorkerSettings(endpoint_url, options.data_dir, command, options.endpoint_id)))
    except NotAdmitted as error:
        raise BadInput(str(error)) from error


def endpoint(options: argparse.Namespace) -> None:
    """Run the local endpoint."""
    from gpu_worker.local_endpoint import server  # noqa: PLC0415
    from gpu_worker.settings import is_origin  # noqa: PLC0415

    if not all(is_origin(origin) for origin in options.webhook_origin):
        raise BadInput("--webhook-origin must be scheme://host[:port], such as http://127.0.0.1:8000")
    os.umask(0o077)  # its queue holds what shoppers stated
    settings = server.EndpointSettings(options.data_dir, options.port, options.host, options.webhook_origin)
    try:
        asyncio.run(server.serve(settings, lambda address: print(f"Ready: {address}", flush=True)))
    except OSError as error:
        raise BadInput(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from error


def estimate(options: argparse.Namespace) -> None:
    """Measurements from answers alone."""
    from gpu_worker.estimators.questionnaire import MEASUREMENTS, FactRefused, Facts  # noqa: PLC0415
    from gpu_worker.estimators.questionnaire import estimate as estimate_from  # noqa: PLC0415

    facts = Facts(height_cm=options.height_cm, weight_kg=options.weight_kg, age=options.age, sex=options.sex)
    try:
        found = estimate_from(facts)
    except FactRefused as refusal:
        raise BadInput(refusal.detail) from refusal
    measurements = {
        name: {"mean": round(mean, 1), "sd": round(found.covariance[row][row] ** 0.5, 2)}
        for row, (name, mean) in enumerate(zip(MEASUREMENTS, found.mean, strict=True))
    }
    _print_json(
        {
            "measurements": measurements,
            "evidence": list(found.evidence),
            "flags": list(found.flags),
            "estimator": found.estimator,
        }
    )


def avatar(options: argparse.Namespace) -> None:
    """A body from what was stated, and from a photo where there is one."""
    if options.repeat < 1:
        raise BadInput("--repeat must be at least 1")
    if options.side is not None and options.photo is None:
        raise BadInput("--side is a second photo; give the first one too")
    photo, photo_side = _read(options.photo), _read(options.side)

    from gpu_worker.settings import one_thread_per_matrix  # noqa: PLC0415

    one_thread_per_matrix(os.environ)
    from gpu_worker.avatar_files import AvatarRefused, make_avatar  # noqa: PLC0415  loads the models
    from gpu_worker.contract import AvatarParams  # noqa: PLC0415

    params = AvatarParams(options.height_cm, options.weight_kg, options.age, options.sex)
    try:
        summary = make_avatar(params, photo, photo_side, options.out, repeat=options.repeat, with_plain=options.plain)
    except AvatarRefused as refusal:
        raise BadInput(str(refusal)) from refusal
    except OSError as error:
        raise BadInput(f"cannot write to {options.out}: {error.strerror}") from error
    _print_json(summary)


def garment(options: argparse.Namespace) -> None:
    """A chart, and perhaps a brand's own models of its sizes, checked and shown."""
    models = dict(_model(text) for text in options.size)
    make_garment, _, refusal = _garment_makers()
    try:
        summary = make_garment(options.chart, models, options.out, _say)
    except refusal as refused:
        raise BadInput(str(refused)) from refused
    except OSError as error:
        raise BadInput(f"cannot write to {options.out}: {error.strerror}") from error
    _print_json(summary)


def dress(options: argparse.Namespace) -> None:
    """A garment put on a body."""
    _, make_dressed, refusal = _garment_makers()
    try:
        summary = make_dressed(options.body, options.garment, options.out, _say, polish=options.polish)
    except refusal as refused:
        raise BadInput(str(refused)) from refused
    except OSError as error:
        raise BadInput(f"cannot write {options.out}: {error.strerror}") from error
    _print_json(summary)


def _garment_makers() -> tuple[Callable[..., Any], Callable[..., Any], type[Exception]]:
    from gpu_worker.settings import one_thread_per_matrix  # noqa: PLC0415

    one_thread_per_matrix(os.environ)
    from gpu_worker.garment_files import GarmentRefused, make_dressed, make_garment  # noqa: PLC0415  loads the models

    return make_garment, make_dressed, GarmentRefused


def _model(text: str) -> tuple[str, Path]:
    size, equals, file = text.partition("=")
    if not (size and equals and file):
        raise BadInput(f"--size is given as SIZE=FILE.glb, not {text!r}")
    return size, Path(file)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def convert_hmr2(options: argparse.Namespace) -> None:
    """The released HMR2 checkpoint to the file that the worker reads, and its lock."""
    try:
        from gpu_worker.convert_hmr2 import ConversionRefused, convert  # noqa: PLC0415  torch, where it is installed
    except ImportError as error:
        raise BadInput("torch is not installed here; run this where requirements/hmr2.txt is") from error
    try:
        converted = convert(options.checkpoint, options.out, trust_pickle=options.trust_pickle)
    except ConversionRefused as refusal:
        raise BadInput(str(refusal)) from refusal
    print(converted.as_json())


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error


def _print_json(content: object) -> None:
    print(json.dumps(content))


def _parser() -> Parser:
    parser = Parser(prog="tryon-worker", description="Compute bodies, as a worker or by hand.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="attach a worker to a local endpoint and keep it running")
    command.add_argument("--endpoint", required=True, metavar="URL", help="e.g. http://127.0.0.1:8100")
    command.add_argument("--data-dir", type=Path, default=Path(".data"), help="where the endpoint keeps its keys")
    command.add_argument("--endpoint-id", default="local")
    command.set_defaults(run=serve)

    command = commands.add_parser("endpoint", help="run the local endpoint: RunPod's API for one host")
    command.add_argument("--port", type=int, required=True, help="0 takes a free one")
    command.add_argument("--host", default="127.0.0.1")
    command.add_argument("--data-dir", type=Path, default=Path(".data"))
    command.add_argument(
        "--webhook-origin", action="append", default=[], metavar="ORIGIN", help="where webhooks may go; may be repeated"
    )
    command.set_defaults(run=endpoint)

    command = commands.add_parser("avatar", help="make a body from a height, and from a photo where there is one")
    command.add_argument("photo", type=Path, nargs="?", metavar="PHOTO")
    _add_facts(command)
    command.add_argument("--side", type=Path, metavar="PHOTO", help="a second photo, from the side")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--repeat", type=int, default=1, metavar="N", help="run N times, for timing")
    command.add_argument("--plain", action="store_true", help="also write avatar.plain.glb, not compressed")
    command.set_defaults(run=avatar)

    command = commands.add_parser("estimate", help="measurements from answers alone")
    _add_facts(command)
    command.set_defaults(run=estimate)

    command = commands.add_parser("garment", help="check a garment and show it, from a size chart")
    command.add_argument("chart", type=Path, metavar="CHART.json", help="as sent to POST /v1/garments")
    command.add_argument(
        "--size", action="append", default=[], metavar="SIZE=FILE.glb", help="a model of one size; may be repeated"
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.set_defaults(run=garment)

    command = commands.add_parser("dress", help="put a garment on a body")
    command.add_argument("body", type=Path, metavar="BODY.npz", help="of `tryon-worker avatar`")
    command.add_argument("garment", type=Path, metavar="GARMENT_DIR", help="of `tryon-worker garment`")
    command.add_argument("--out", type=Path, required=True, metavar="FILE.glb")
    command.add_argument("--polish", action="store_true", help="drape every size as cloth")
    command.set_defaults(run=dress)

    command = commands.add_parser("convert-hmr2", help="turn the released HMR2 checkpoint into safetensors, once")
    command.add_argument("checkpoint", type=Path, metavar="CKPT")
    command.add_argument("out", type=Path, metavar="OUT.safetensors")
    command.add_argument("--trust-pickle", action="store_true", help="run the code inside an old-style checkpoint")
    command.set_defaults(run=convert_hmr2)
    return parser


def _add_facts(command: argparse.ArgumentParser) -> None:
    command.add_argument("--height-cm", type=float, required=True)
    command.add_argument("--weight-kg", type=float)
    command.add_argument("--age", type=float)
    command.add_argument("--sex", choices=("female", "male", "unspecified"), default="unspecified")


if __name__ == "__main__":
    sys.exit(main())
