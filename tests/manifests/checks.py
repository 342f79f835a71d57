"""All checks of what was built: each gives a sentence for everything that is wrong."""

from collections.abc import Callable, Iterator

from manifests import agreement, custom, network, references, security, stores
from manifests.kustomizations import Objects

Check = Callable[[Objects], Iterator[str]]

CHECKS: dict[str, Check] = {
    "security": security.security,
    "network": network.network,
    "selectors": references.selectors,
    "ports": references.ports,
    "things": references.things,
    "scaling": references.scaling,
    "rollouts": references.rollouts,
    "settings": agreement.settings,
    "secrets": agreement.secrets,
    "commands": agreement.commands,
    "probing": agreement.probing,
    "stalls": agreement.stalls,
    "grace": agreement.grace,
    "store": stores.store,
    "custom": custom.custom,
}
COMPLETE: dict[str, Check] = {"tasks": agreement.tasks}  # of those that run as they are
