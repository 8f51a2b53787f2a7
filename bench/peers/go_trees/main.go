// The binary trees of bench/gc_speed.c in Go.
//
// usage: go_trees DEPTH     prints "nodes collections longest-stop-ns"
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

type tree struct {
	left, right *tree
}

func grow(depth int) *tree {
	node := &tree{}
	if depth > 0 {
		node.left = grow(depth - 1)
		node.right = grow(depth - 1)
	}
	return node
}

func count(node *tree) int {
	if node.left == nil {
		return 1
	}
	return 1 + count(node.left) + count(node.right)
}

func main() {
	depth, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	nodes := count(grow(depth + 1))
	lives := grow(depth)
	for d := 4; d <= depth; d += 4 {
		for i := 0; i < 1<<(depth-d+4); i++ {
			nodes += count(grow(d))
		}
	}
	nodes += count(lives)
	runtime.KeepAlive(lives)
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	var longest int64
	for _, pause := range stats.Pause {
		if pause.Nanoseconds() > longest {
			longest = pause.Nanoseconds()
		}
	}
	fmt.Printf("%d %d %d\n", nodes, stats.NumGC, longest)
}
