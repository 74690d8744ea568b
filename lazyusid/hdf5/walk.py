"""Every object of a file, found once along hard links, without recursion."""

from dataclasses import dataclass, field

import h5py

from lazyusid.hdf5.names import decode


@dataclass(frozen=True)
class Walk:
    """What lies in a file.

    Attributes
    ----------
    groups
        Absolute path -> names of its members, in the file's order.
    datasets
        Absolute paths of all datasets, each under the first path that leads to it.
    addresses
        Address of an object's header -> its absolute path.
    """

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)
    addresses: dict[int, str] = field(default_factory=dict)

    def resolve(self, file: h5py.File, reference: h5py.Reference) -> str:
        """Return the path of what a reference points at, "" where that is nothing."""
        if not reference:
            return ""
        try:
            target = h5py.h5r.dereference(reference, file.id)
            return self.addresses.get(address(target), "") if target is not None else ""
        except (ValueError, RuntimeError, OSError, KeyError, TypeError):
            return ""


def address(item: h5py.h5g.GroupID | h5py.h5d.DatasetID) -> int:
    """Return the address of an object's header in its file."""
    return int(h5py.h5o.get_info(item).addr)


def walk(file: h5py.File) -> Walk:
    """Walk the hard links of an open file depth first, members in the order HDF5 lists them."""
    found = Walk()
    root = h5py.h5g.open(file.id, b"/")
    found.addresses[address(root)] = "/"
    pending = [(root, "/")]
    while pending:
        group, path = pending.pop()
        names = _hard_links(group)
        found.groups[path] = tuple(map(decode, names))
        inner = []
        for name in names:
            info = h5py.h5o.get_info(group, name)
            if info.addr in found.addresses:
                continue
            member = f"{path.rstrip('/')}/{decode(name)}"
            found.addresses[int(info.addr)] = member
            if info.type == h5py.h5o.TYPE_GROUP:
                inner.append((h5py.h5g.open(group, name), member))
            elif info.type == h5py.h5o.TYPE_DATASET:
                found.datasets.append(member)
        pending.extend(reversed(inner))
    found.datasets.sort(key=lambda path: path.split("/"))
    return found


def _hard_links(group: h5py.h5g.GroupID) -> list[bytes]:
    names: list[bytes] = []

    def keep(name: bytes, info: h5py.h5l.LinkInfo) -> None:
        if info.type == h5py.h5l.TYPE_HARD:
            names.append(bytes(name))

    group.links.iterate(keep, info=True)
    return names
