// What Go pays for a switch between goroutines, and for starting one and waiting
// for its end: nanoseconds of CPU time, on one processor. Printed as micro.c does.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"syscall"
)

const runs = 5
const enough = 200e6 // nanoseconds

func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func yieldBetween(goroutines, count int) {
	done := make(chan bool)
	for i := 0; i < goroutines; i++ {
		go func() {
			for left := count / goroutines; left > 0; left-- {
				runtime.Gosched()
			}
			done <- true
		}()
	}
	for i := 0; i < goroutines; i++ {
		<-done
	}
}

func spawnAndJoin(count int) {
	done := make(chan bool)
	for ; count > 0; count-- {
		go func() { done <- true }()
		<-done
	}
}

func timed(run func(int), count int) float64 {
	start := cpu()
	run(count)
	return cpu() - start
}

func measure(name, what string, run func(int)) {
	count := 16000
	for timed(run, count) < enough {
		count *= 2
	}
	var ns []float64
	for i := 0; i < runs; i++ {
		ns = append(ns, timed(run, count)/float64(count))
	}
	sort.Float64s(ns)
	fmt.Printf("%-16s %9.1f %9.1f  %s\n", name, ns[runs/2], ns[0], what)
}

func main() {
	runtime.GOMAXPROCS(1)
	measure("go-switch-2", "Go: runtime.Gosched, two goroutines", func(n int) { yieldBetween(2, n) })
	measure("go-switch-1000", "Go: the same, 1,000 goroutines", func(n int) { yieldBetween(1000, n) })
	measure("go-spawn-join", "Go: go func, then a receive from its channel", spawnAndJoin)
}
