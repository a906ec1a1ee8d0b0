"""The entry of one role's process, as the supervisor starts it: `python -m sealwright.servers.process ROLE DIR FD`."""

import socket
import sys
from importlib import import_module
from pathlib import Path

from sealwright.domain.errors import SealwrightError
from sealwright.servers.deployment import ROLES, Deployment
from sealwright.servers.web.run import run_async

_MODULES = {"signing": "sealwright.servers.signing.process"}


def main(arguments: list[str]) -> int:
    """Serve one role on the listening socket that was inherited; return the process's exit code."""
    role, directory, descriptor = arguments
    if role not in ROLES:
        return 2
    module = import_module(_MODULES.get(role, f"sealwright.servers.{role}"))
    listener = socket.socket(fileno=int(descriptor))
    listener.setblocking(False)
    try:
        deployment = Deployment.load(Path(directory))
        run_async(module.main(deployment, listener, supervised=True))
    except SealwrightError as error:
        sys.stderr.write(f"{role}: {error.detail}\n{error.hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
