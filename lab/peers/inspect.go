// inspect.go: a Go program that has itself inspected; see inspect_go.c. It knows what its maps hold, has the inspector
// look at it from outside while it waits, and prints both, map by map.
//
// usage: inspect SPOOL INSPECTOR     prints "name value" lines
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"unsafe"
)

type session struct {
	name  string
	stamp int
}

type server struct {
	sessions map[string]*session
}

type report struct {
	Objects uint64
	Torn    uint64
	Stopped float64 `json:"stopped_ms"`
	Maps    []struct {
		Address                                string
		Len, Slots, Reclaimable, Ghosts, Bytes uint64
		Hash_checked, Hash_agreed              uint64
		Type                                   string
		Held_by                                string
	}
}

var (
	numbers = map[uint64]uint64{}
	served  = &server{map[string]*session{}}
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Fills both maps with the keys, and deletes 99 of 100.
func fill(spool string) int {
	file, err := os.Open(spool)
	check(err)
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<17)
	var head [32]byte
	count := 0
	for {
		if _, err := io.ReadFull(reader, head[:]); err == io.EOF {
			break
		} else {
			check(err)
		}
		key := make([]byte, binary.LittleEndian.Uint32(head[:4]))
		_, err := io.ReadFull(reader, key)
		check(err)
		served.sessions[string(key)] = &session{string(key), count}
		numbers[uint64(count)*0x9E3779B97F4A7C15|1] = uint64(count)
		count++
	}
	for key, value := range served.sessions {
		if value.stamp%100 != 0 {
			delete(served.sessions, key)
		}
	}
	for key, value := range numbers {
		if value%100 != 0 {
			delete(numbers, key)
		}
	}
	return count
}

func address(header unsafe.Pointer) string {
	return fmt.Sprintf("%#x", *(*uintptr)(header))
}

func main() {
	count := fill(os.Args[1])
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	output, err := exec.Command(os.Args[2], "inspect", "--json", strconv.Itoa(os.Getpid())).Output()
	if len(output) == 0 {
		check(err)
	}
	var seen report
	check(json.Unmarshal(output, &seen))
	fmt.Println("version", runtime.Version())
	fmt.Println("keys", count)
	fmt.Println("objects", stats.HeapObjects)
	fmt.Println("seen_objects", seen.Objects)
	fmt.Println("torn", seen.Torn)
	fmt.Println("stopped_ms", seen.Stopped)
	truth := map[string][2]interface{}{
		"numbers":  {address(unsafe.Pointer(&numbers)), len(numbers)},
		"sessions": {address(unsafe.Pointer(&served.sessions)), len(served.sessions)},
	}
	for name, fact := range truth {
		fmt.Println(name+"_len", fact[1])
		for _, found := range seen.Maps {
			if found.Address != fact[0] {
				continue
			}
			fmt.Println(name+"_seen", found.Len)
			fmt.Println(name+"_slots", found.Slots)
			fmt.Println(name+"_bytes", found.Bytes)
			fmt.Println(name+"_reclaimable", found.Reclaimable)
			fmt.Println(name+"_type", found.Type)
			fmt.Println(name+"_holder", found.Held_by)
			fmt.Println(name+"_hashes", found.Hash_checked)
			fmt.Println(name+"_agreed", found.Hash_agreed)
		}
	}
	runtime.KeepAlive(served)
}
