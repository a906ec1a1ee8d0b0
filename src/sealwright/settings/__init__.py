"""Settings as frozen records, read from TOML; unknown keys are refused. Light to import: clients need it too."""

from sealwright.settings.client import ClientSettings, find_client_file, load_client, save_client
from sealwright.settings.deployment import (
    DEPLOYMENT_FILE,
    Databases,
    DeploymentSettings,
    Directories,
    KeyStores,
    Listen,
    load_deployment,
    save_deployment,
)
from sealwright.settings.files import atomic_write, make_private_directory, write_toml

__all__ = [
    "DEPLOYMENT_FILE",
    "ClientSettings",
    "Databases",
    "DeploymentSettings",
    "Directories",
    "KeyStores",
    "Listen",
    "atomic_write",
    "find_client_file",
    "load_client",
    "load_deployment",
    "make_private_directory",
    "save_client",
    "save_deployment",
    "write_toml",
]
