"""The `tryon` command: results as JSON on stdout, progress on stderr, exit 2 with one clear line on bad input."""

import argparse
import sys


def main() -> None:
    parser = argparse.ArgumentParser(prog="tryon", description="Virtual try-on: the service and its operator's tools.")
    parser.parse_args()
    sys.exit(2)


if __name__ == "__main__":
    main()
