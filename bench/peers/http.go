// Go's net/http. http PORT APP FOLDER [tls]
//
// APP is what it does: hello; pause (the same after 10 ms); poll (GET waits for a POST);
// count (the bytes of a body); files (of FOLDER/files).
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"
)

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "hello, world\n")
}

func pause(w http.ResponseWriter, r *http.Request) {
	time.Sleep(10 * time.Millisecond)
	hello(w, r)
}

var board struct {
	sync.Mutex
	changed chan bool
}

func poll(w http.ResponseWriter, r *http.Request) {
	board.Lock()
	changed := board.changed
	if r.Method == "POST" {
		board.changed = make(chan bool)
		close(changed)
	}
	board.Unlock()
	<-changed
	hello(w, r)
}

func count(w http.ResponseWriter, r *http.Request) {
	bytes, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	fmt.Fprintf(w, "%d\n", bytes)
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) == 2 {
		fmt.Println(runtime.Version())
		return
	}
	address, app, folder := "127.0.0.1:"+os.Args[1], os.Args[2], os.Args[3]
	board.changed = make(chan bool)
	handlers := map[string]http.Handler{
		"hello": http.HandlerFunc(hello),
		"pause": http.HandlerFunc(pause),
		"poll":  http.HandlerFunc(poll),
		"count": http.HandlerFunc(count),
		"files": http.FileServer(http.Dir(folder + "/files")),
	}
	if len(os.Args) == 5 {
		log.Fatal(http.ListenAndServeTLS(address, folder+"/cert.pem", folder+"/key.pem",
			handlers[app]))
	}
	log.Fatal(http.ListenAndServe(address, handlers[app]))
}
