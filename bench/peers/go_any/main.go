// Go's answers to any_cost, one figure a line in the order of enum any_row: ns each, best of five.
package main

import (
	"fmt"
	"time"
)

const (
	values = 1024
	turns  = 2000
	keys   = 10000
)

type sized interface{ Size() int64 }
type number int64
type wide struct{ words [6]int64 }

func (n number) Size() int64 { return int64(n) }
func (w wide) Size() int64   { return w.words[0] * 2 }

var sink uint64
var held any

func measure(operations int, work func()) {
	best := time.Duration(1 << 62)
	for i := 0; i < 5; i++ {
		start := time.Now()
		work()
		if took := time.Since(start); took < best {
			best = took
		}
	}
	fmt.Printf("%.2f\n", float64(best.Nanoseconds())/float64(operations))
}

func main() {
	var anys [values]any
	var sizeds [values]sized
	for i := range anys {
		if i%2 == 0 {
			anys[i] = number(i)
		} else {
			anys[i] = wide{words: [6]int64{int64(i)}}
		}
		sizeds[i] = anys[i].(sized)
	}
	table := map[any]any{}
	for i := int64(0); i < keys; i++ {
		table[i] = i
	}
	measure(values*turns, func() {
		for i := int64(0); i < values*turns; i++ {
			held = i
			sink += uint64(held.(int64))
		}
	})
	measure(values*turns/4, func() {
		for i := int64(0); i < values*turns/4; i++ {
			held = wide{words: [6]int64{i}}
			sink += uint64(held.(wide).words[0])
		}
	})
	measure(values*turns/4, func() {
		for i := 0; i < values*turns/4; i++ {
			held = anys[i%values|1]
			sink += uint64(i)
		}
	})
	measure(values*turns, func() {
		for i := 0; i < values*turns; i++ {
			if _, ok := anys[i%values].(sized); ok {
				sink++
			}
		}
	})
	measure(values*turns, func() {
		for i := 0; i < values*turns; i++ {
			sink += uint64(sizeds[i%values].Size())
		}
	})
	measure(values*turns, func() {
		for i := int64(0); i < values*turns; i++ {
			sink += uint64(table[i*7919%keys].(int64))
		}
	})
}
