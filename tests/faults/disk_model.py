"""What a disk could hold after a power cut, built from the trace that shims/disk.c writes.

The disk we assume is the weakest one that POSIX allows, because what holds there holds on ext4, XFS and btrfs:

- Bytes and sizes of a file are certain after fsync or fdatasync of that file, for what was written before the call.
- A name (created, linked, renamed, removed) is certain after fsync of its folder. A rename is one step.
- Everything else may be there or not, each change by itself, whatever the order in which it was made; a write may be
  torn into pages of 4 KiB.
- After an fsync that failed, what it should have saved is never saved by a later one.

`Cut` says which of the uncertain changes survive.
"""
import ctypes
import mmap
import os
import random
import struct
import subprocess
from pathlib import Path

FIRST_RECORD = 4096
PAGE = 4096
CALLS = ("write", "sync", "rename", "open", "link", "truncate", "unlink", "mkdir")
(WRITE, TRUNCATE, CREATE, MAKE_FOLDER, UNLINK, REMOVE_FOLDER, RENAME, LINK, SYNC_BEGIN, SYNC_END, NOTE, FOREIGN,
 ALARM) = range(1, 14)
SHIMS = Path(__file__).parent / "shims"


def build_shim(name, folder):
    """Compiles shims/<name>.c and returns the path of the library."""
    library = Path(folder) / f"{name}.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", library,
                        SHIMS / f"{name}.c", "-ldl", "-lpthread"], check=True)
    return library


class Disk:
    """The shared memory of the shim: the trace, and which calls fail."""

    def __init__(self, folder, watched, size=1 << 30):
        self.library = build_shim("disk", folder)
        self.path, self.watched = Path(folder) / "trace", str(watched)
        with open(self.path, "wb") as file:
            file.truncate(size)
        self.functions = ctypes.CDLL(str(self.library))
        self.functions.begin(str(self.path).encode(), ctypes.c_uint64(size))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), size)

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "MILLWRIGHT_DISK_TRACE": str(self.path),
                "MILLWRIGHT_DISK_FOLDER": self.watched}

    def note(self, text):
        """A record of our own, in the order of things."""
        self.functions.note(text.encode())

    def fail(self, call, first, last, failure):
        """The `first` to the `last` call of a kind (from now on, counted from 1) fail with this errno."""
        made = self._number(16, call)
        struct.pack_into("<q", self.memory, 16 + 8 * (2 * len(CALLS) + CALLS.index(call)), made + last)
        struct.pack_into("<q", self.memory, 16 + 8 * 3 * len(CALLS), failure)
        struct.pack_into("<q", self.memory, 16 + 8 * (len(CALLS) + CALLS.index(call)), made + first)

    def heal(self):
        for call in range(len(CALLS)):
            struct.pack_into("<q", self.memory, 16 + 8 * (len(CALLS) + call), 0)

    def calls(self):
        return {call: self._number(16, call) for call in CALLS}

    def failed(self):
        return struct.unpack_from("<q", self.memory, 16 + 8 * (3 * len(CALLS) + 1))[0]

    def _number(self, base, call):
        return struct.unpack_from("<q", self.memory, base + 8 * CALLS.index(call))[0]

    def forget(self):
        """Begins the trace anew."""
        struct.pack_into("<Q", self.memory, 0, FIRST_RECORD)

    def records(self):
        """All records: (kind, inode, a, b, text, bytes)."""
        end = struct.unpack_from("<Q", self.memory, 0)[0]
        at = FIRST_RECORD
        while at < end:
            length, kind, inode, a, b, text, data = struct.unpack_from("<7Q", self.memory, at)
            begin = at + 56
            yield kind, inode, a, b, self.memory[begin:begin + text].decode(), self.memory[begin + text:begin + text + data]
            at += length

    def close(self):
        self.memory.close()
        os.unlink(self.path)


class Cut:
    """Chooses what survives of the changes that were not certain."""
    STYLES = ("nothing", "each", "early", "everything")

    def __init__(self, style, seed=0):
        self.style, self.random = style, random.Random(seed)
        self.share = self.random.choice([0.1, 0.5, 0.9])
        self.horizon = None

    def starts(self, oldest, newest):
        # Of a journal: what is older than some moment is there, what is newer is not.
        self.horizon = self.random.uniform(oldest, newest)

    def keeps(self, number):
        if self.style == "early":
            return number < self.horizon
        return self.style == "everything" or (self.style == "each" and self.random.random() < self.share)

    def tears(self):
        return self.style == "each" and self.random.random() < 0.3


class File:
    def __init__(self, known=True):
        self.safe = bytearray()  # certain
        self.pending = []        # (number, offset or None for a size, bytes or size)
        self.known = known       # made where we could see it

    def apply(self, target, change):
        _, offset, value = change
        if offset is None:
            if value < len(target):
                del target[value:]
            else:
                target.extend(bytes(value - len(target)))
            return
        if offset > len(target):
            target.extend(bytes(offset - len(target)))
        target[offset:offset + len(value)] = value

    def sync(self, before):
        count = 0
        while count < len(self.pending) and self.pending[count][0] < before:
            self.apply(self.safe, self.pending[count])
            count += 1
        del self.pending[:count]

    def lose(self, before):
        self.pending = [change for change in self.pending if change[0] >= before]

    def after(self, cut):
        content = bytearray(self.safe)
        for change in self.pending:
            if not cut.keeps(change[0]):
                continue
            if change[1] is not None and cut.tears():
                number, offset, value = change
                for begin in range(0, len(value), PAGE):
                    if cut.random.random() < 0.5:
                        self.apply(content, (number, offset + begin, value[begin:begin + PAGE]))
            else:
                self.apply(content, change)
        return content


class Folder:
    def __init__(self):
        self.now, self.safe = {}, {}
        self.pending = []  # (number, name, File, Folder or None)

    def change(self, number, name, what):
        if what is None:
            self.now.pop(name, None)
        else:
            self.now[name] = what
        self.pending.append((number, name, what))

    def sync(self, before):
        """Returns the numbers of what became certain."""
        sure = [change for change in self.pending if change[0] < before]
        self.pending = self.pending[len(sure):]
        for _, name, what in sure:
            if what is None:
                self.safe.pop(name, None)
            else:
                self.safe[name] = what
        return {number for number, _, _ in sure}

    def settle(self, numbers):
        """The other half of renames that became certain."""
        for number, name, what in self.pending:
            if number in numbers:
                if what is None:
                    self.safe.pop(name, None)
                else:
                    self.safe[name] = what
        self.pending = [change for change in self.pending if change[0] not in numbers]

    def lose(self, before):
        self.pending = [change for change in self.pending if change[0] >= before]

    def after(self, kept):
        names = dict(self.safe)
        for number, name, what in self.pending:
            if kept(number):
                if what is None:
                    names.pop(name, None)
                else:
                    names[name] = what
        return names


class DiskModel:
    """Plays a trace; `write_to` makes the disk of this moment. The watched folder is there from the beginning."""

    def __init__(self, watched):
        self.top, self.watched = Folder(), str(watched)
        self.inodes, self.syncs, self.number = {}, {}, 0
        self.notes, self.alarms = [], []

    def start_from(self, folder):
        """What the folder holds now is certain."""
        def read(path, target):
            for entry in os.scandir(path):
                if entry.is_dir(follow_symlinks=False):
                    made = Folder()
                    read(entry.path, made)
                elif entry.is_file(follow_symlinks=False):
                    made = self.inodes.setdefault(entry.inode(), File())
                    made.safe = bytearray(Path(entry.path).read_bytes())
                else:
                    continue
                target.now[entry.name] = target.safe[entry.name] = made
        read(folder, self.top)

    def play(self, record):
        self.number += 1
        kind, inode, a, b, text, data = record
        if kind == NOTE:
            self.notes.append(text)
        elif kind == ALARM:
            self.alarms.append(text)
        elif kind == WRITE:
            self._file(inode).pending.append((self.number, a, data))
        elif kind == TRUNCATE:
            self._file(inode).pending.append((self.number, None, a))
        elif kind == CREATE:
            self.inodes[inode] = File()
            self._set(text, self.inodes[inode])
        elif kind == MAKE_FOLDER:
            self._set(text, Folder())
        elif kind in (UNLINK, REMOVE_FOLDER):
            self._set(text, None)
        elif kind == RENAME:
            target = data.decode()
            what = self._find(text) or self._file(inode)
            self._set(text, None)
            self._set(target, what)
        elif kind == LINK:
            self._set(text, self._file(inode))
        elif kind == FOREIGN:
            self._foreign(inode, text, data)
        elif kind == SYNC_BEGIN:
            self.syncs[a] = (self.number, text, b)
        elif kind == SYNC_END:
            begun = self.syncs.pop(a, None)
            if begun is not None:  # else it began before the trace did, and covers nothing of it
                self._synced(inode, *begun, good=b == 1)

    def _file(self, inode):
        return self.inodes.setdefault(inode, File(known=False))

    def _foreign(self, inode, path, data):
        file = self._file(inode)
        if file.known:
            return
        # The launcher replaces its record durably before it ends, and nobody reads it before that.
        if path.endswith("/exit.json"):
            parent, name = self._parent(path)
            if parent is not None:
                file.safe = bytearray(data)
                parent.now[name] = parent.safe[name] = file
        elif not file.pending and not file.safe:
            file.pending = [(self.number, 0, data)]

    def _parent(self, path):
        if not path.startswith(self.watched + "/"):
            return None, ""
        *folders, name = [part for part in path[len(self.watched) + 1:].split("/") if part not in ("", ".")]
        at = self.top
        for part in folders:
            at = at.now.get(part)
            if not isinstance(at, Folder):
                return None, ""  # below what a job made
        return at, name

    def _find(self, path):
        parent, name = self._parent(path)
        return parent.now.get(name) if parent else None

    def _set(self, path, what):
        parent, name = self._parent(path)
        if parent is not None:
            parent.change(self.number, name, what)

    def _folders(self, folder=None):
        folder = folder or self.top
        yield folder
        for what in folder.now.values():
            if isinstance(what, Folder):
                yield from self._folders(what)

    def _synced(self, inode, before, path, scope, good):
        if scope == 1:
            things = [*self.inodes.values(), *self._folders()]
        else:
            found = self.top if path == self.watched else self._find(path)
            things = [found if isinstance(found, Folder) else self._file(inode)]
        if not good:
            for thing in things:
                thing.lose(before)
            return
        sure = set()
        for thing in things:
            sure |= thing.sync(before) or set()
        if sure and scope == 0:
            for folder in self._folders():
                if folder.pending:
                    folder.settle(sure)

    def write_to(self, target, cut):
        """Makes the disk in an empty folder. Files that jobs wrote are not there: nobody has synced them."""
        numbers = [change[0] for file in self.inodes.values() for change in file.pending]
        numbers += [change[0] for folder in self._folders() for change in folder.pending]
        cut.starts(min(numbers, default=0), self.number)
        decided = {}

        def kept(number):  # both halves of a rename share their fate
            if number not in decided:
                decided[number] = cut.keeps(number)
            return decided[number]

        def make(folder, path):
            os.mkdir(path, 0o700)
            for name, what in folder.after(kept).items():
                if isinstance(what, Folder):
                    if not (path / name).exists():
                        make(what, path / name)
                elif not name.endswith("-shm"):
                    if what in written:
                        os.link(written[what], path / name)
                        continue
                    (path / name).write_bytes(what.after(cut))
                    written[what] = path / name

        written = {}
        make(self.top, Path(target))
