"""neap-gdb.py: Neap's maps in gdb.

gdb loads this by itself together with libneap when it is installed; otherwise: source neap-gdb.py

    print *map          sessions: 6250 entries, 7680 slots (tombstone 3, empty 1427), 512 kB in 2 segments
    print *classic      users: 6250 entries, 8192 slots (tombstone 320, empty 1622), 196 kB in 1024 buckets
    neap-maps           every map of the program, the largest first
"""
import gdb
import gdb.printing


def layout(table="neap_layout"):
    """The library's own table of offsets and sizes, by name."""
    entries = gdb.parse_and_eval(table)
    facts, i = {}, 0
    while int(entries[i]["name"]) != 0:
        facts[entries[i]["name"].string()] = int(entries[i]["value"])
        i += 1
    return facts


class Memory:
    """Numbers of the program, by address."""

    def __init__(self):
        self.inferior = gdb.selected_inferior()

    def number(self, address, size):
        return int.from_bytes(bytes(self.inferior.read_memory(address, size)), "little")

    def text(self, address):
        """A name: it may hold anything."""
        if not address:
            return "unnamed"
        name = gdb.Value(address).cast(gdb.lookup_type("char").pointer()).string(errors="replace")
        return "".join(sign if sign.isprintable() else "?" for sign in name) or "unnamed"


class Map:
    """A struct neap_map, read through the layout alone: the program needs no debug information."""

    def __init__(self, address, facts, memory):
        def field(name, size=8):
            return memory.number(address + facts["neap_map." + name], size)
        self.name = memory.text(field("name"))
        self.len = field("len")
        self.bytes = field("bytes")
        pool = field("pool")
        groups = field("home_mask", 4) // facts["control_bytes"] + 1
        self.segments = memory.number(pool + facts["neap__pool.count"], 4) if pool else 1
        per_segment = groups * facts["group_slots"]
        small = field("small_slots", 1)
        limit = field("limit", 2)
        table = field("segs")
        size = facts["neap__segment"]
        used = 0
        for i in range(min(self.segments, 1 << 16)):
            at = table + i * size
            used += memory.number(at + facts["neap__segment.live"], 2)
            used += memory.number(at + facts["neap__segment.room"], 2)
        empty_map = self.len == 0 and not pool and used == 0
        self.slots = 0 if empty_map else (small or per_segment) * self.segments
        self.tombstones = 0 if empty_map else limit * self.segments - used

    def __str__(self):
        empty = max(self.slots - self.len - self.tombstones, 0)
        return (f"{self.name}: {self.len} entries, {self.slots} slots (tombstone {self.tombstones}, empty {empty}), "
                f"{self.bytes // 1024} kB in {self.segments} segments")


class Classic:
    """A struct neap_hmap: Go's header, then what the layout tells."""

    LOG_BUCKETS, BUCKETS, OLD_BUCKETS, SLOTS, LIVE = 9, 16, 24, 8, 5

    def __init__(self, address, facts, memory):
        self.facts, self.memory, self.address = facts, memory, address
        head = address + facts["neap_hmap.head"]
        self.name = memory.text(address + facts["neap_hmap.name"])
        self.bytes = memory.number(address + facts["neap_hmap.bytes"], 8)
        self.len = memory.number(head, 8)
        self.array = memory.number(head + self.BUCKETS, 8)
        self.growing = memory.number(head + self.OLD_BUCKETS, 8) != 0
        self.buckets = 1 << memory.number(head + self.LOG_BUCKETS, 1) if self.array else 0

    def summary(self):
        return f"{self.name}: {self.len} entries, {self.bytes // 1024} kB"

    def __str__(self):
        """Looks at every bucket; those of a growth that is under way are counted in the new array alone."""
        size = self.memory.number(self.address + self.facts["neap_hmap.bucket_size"], 8)
        link = self.memory.number(self.address + self.facts["neap_hmap.link"], 8)
        live = tombstones = slots = 0
        for i in range(self.buckets):
            bucket = self.array + i * size
            while bucket:
                tops = bytes(self.memory.inferior.read_memory(bucket, self.SLOTS))
                live += sum(top >= self.LIVE for top in tops)
                tombstones += tops.count(1)
                slots += self.SLOTS
                bucket = self.memory.number(bucket + link, 8)
        return (f"{self.name}: {self.len} entries, {slots} slots (tombstone {tombstones}, "
                f"empty {slots - live - tombstones}), {self.bytes // 1024} kB in {self.buckets} buckets"
                + (", growing" if self.growing else ""))


class ClassicPrinter:
    """print *classic"""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return str(Classic(int(self.value.address), layout("neap_hmap_layout"), Memory()))


class MapPrinter:
    """print *map"""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return str(Map(int(self.value.address), layout(), Memory()))


def listed():
    """(kind, address) of every object in the library's list of maps."""
    facts, memory = layout(), Memory()
    registry = int(gdb.parse_and_eval("(long)&neap__registry"))
    shards = memory.number(registry + facts["neap__registry.shards"], 4)
    stride = memory.number(registry + facts["neap__registry.stride"], 4)
    for shard in range(shards):
        at = registry + facts["neap__registry.shard"] + shard * stride
        link = memory.number(at + facts["neap__shard.first"], 8)
        while link:
            address = memory.number(link + facts["neap__link.object"], 8)
            if address:
                yield memory.number(link + facts["neap__link.kind"], 4), address
            link = memory.number(link + facts["neap__link.next"], 8)


class MapsCommand(gdb.Command):
    """Lists every map of the program, the largest first."""

    def __init__(self):
        super().__init__("neap-maps", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        facts, memory = layout(), Memory()
        classic = layout("neap_hmap_layout")
        rows = []
        for kind, address in listed():
            if kind == facts["kind_map"]:
                found = Map(address, facts, memory)
                rows.append((found.bytes, address, "map", str(found)))
            elif kind == facts["kind_hmap"]:
                found = Classic(address, classic, memory)
                rows.append((found.bytes, address, "hmap", found.summary()))
        for _, address, kind, text in sorted(rows, reverse=True):
            print(f"{address:#x} {kind:<5} {text}")
        print(f"{len(rows)} maps")


MapsCommand()
printers = gdb.printing.RegexpCollectionPrettyPrinter("neap")
printers.add_printer("neap_map", "^neap_map$", MapPrinter)
printers.add_printer("neap_hmap", "^neap_hmap$", ClassicPrinter)
gdb.printing.register_pretty_printer(gdb.current_objfile(), printers, replace=True)
