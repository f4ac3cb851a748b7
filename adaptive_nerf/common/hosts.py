"""Names of machines, as they stand in addresses."""

import ipaddress


def is_number(host: str) -> bool:
    """An address in numbers, which no foreign name can be turned to."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
