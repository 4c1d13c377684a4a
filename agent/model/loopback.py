"""Recognizes host names and addresses of this machine itself."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: localhost, 127.0.0.0/8, ::1. No port; brackets are allowed."""
    name = host.lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return False
    # ::ffff:127.0.0.1 is an IPv4 address in IPv6 notation.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
