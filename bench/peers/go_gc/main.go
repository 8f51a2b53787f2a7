// The programs of bench/gc_work.c in Go.
//
// usage: go_gc trees|gcbench|live|map SIZE     prints "answer collections longest-stop-ns"
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
)

type tree struct {
	left, right *tree
}

type node struct {
	left, right   *node
	number, other uint64
}

type unit struct {
	node   *node
	bytes  *[96]byte
	number [6]uint64
}

func grow(depth int) *tree {
	t := &tree{}
	if depth > 0 {
		t.left = grow(depth - 1)
		t.right = grow(depth - 1)
	}
	return t
}

func count(t *tree) uint64 {
	if t.left == nil {
		return 1
	}
	return 1 + count(t.left) + count(t.right)
}

func trees(depth int) uint64 {
	sum := count(grow(depth + 1))
	lives := grow(depth)
	for d := 4; d <= depth; d += 4 {
		for i := 0; i < 1<<(depth-d+4); i++ {
			sum += count(grow(d))
		}
	}
	return sum + count(lives)
}

func fromLeaves(depth int) *node {
	var left, right *node
	if depth > 0 {
		left = fromLeaves(depth - 1)
		right = fromLeaves(depth - 1)
	}
	return &node{left: left, right: right}
}

func growBelow(n *node, depth int) {
	if depth == 0 {
		return
	}
	n.left = &node{}
	n.right = &node{}
	growBelow(n.left, depth-1)
	growBelow(n.right, depth-1)
}

func countNodes(n *node) uint64 {
	if n == nil {
		return 0
	}
	return 1 + countNodes(n.left) + countNodes(n.right)
}

func gcbench(depth int) uint64 {
	most := 4
	if depth > 6 {
		most = depth - 2
	}
	sum := countNodes(fromLeaves(depth))
	lives := &node{}
	growBelow(lives, most)
	numbers := make([]float64, 500000)
	for i := 0; i < len(numbers)/2; i++ {
		numbers[i] = 1.0 / float64(i+1)
	}
	for d := 4; d <= most; d += 2 {
		times := (2 << (depth + 1)) / (1 << (d + 1))
		for i := 0; i < times; i++ {
			root := &node{}
			growBelow(root, d)
			sum += countNodes(root)
			sum += countNodes(fromLeaves(d))
		}
	}
	if numbers[1000] == 1.0/1001 {
		sum++
	}
	return sum + countNodes(lives)
}

func nextRandom(state *uint64) uint64 {
	*state = *state*6364136223846793005 + 1442695040888963407
	return *state >> 32
}

func makeUnit(number uint64) *unit {
	u := &unit{node: &node{number: number}, bytes: new([96]byte)}
	u.number[0] = number
	return u
}

func live(mb int) uint64 {
	count := mb << 20 / (64 + 32 + 96)
	random, sum := uint64(1), uint64(0)
	table := make([]*unit, count)
	for i := range table {
		table[i] = makeUnit(uint64(i))
	}
	for i := 0; i < 3*count; i++ {
		at := nextRandom(&random) * uint64(count) >> 32
		table[at] = makeUnit(table[at].number[0] + 1)
	}
	for _, u := range table {
		sum += u.node.number
	}
	return sum
}

func churn(thousands int) uint64 {
	count := thousands * 1000
	random, sum := uint64(1), uint64(0)
	m := map[uint64]*[4]uint64{}
	keys := make([]uint64, count)
	for i := 0; i < 4*count; i++ {
		at := uint64(i)
		if i >= count {
			at = nextRandom(&random) * uint64(count) >> 32
			delete(m, keys[at])
		}
		keys[at] = uint64(i)
		m[uint64(i)] = &[4]uint64{uint64(i)}
	}
	for _, key := range keys {
		sum += m[key][0]
	}
	return sum
}

func main() {
	works := map[string]func(int) uint64{"trees": trees, "gcbench": gcbench, "live": live, "map": churn}
	if len(os.Args) != 3 || works[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go_gc trees|gcbench|live|map SIZE")
		os.Exit(2)
	}
	size, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	answer := works[os.Args[1]](size)
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	var longest int64
	for _, pause := range stats.Pause {
		if pause.Nanoseconds() > longest {
			longest = pause.Nanoseconds()
		}
	}
	fmt.Printf("%d %d %d\n", answer, stats.NumGC, longest)
}
