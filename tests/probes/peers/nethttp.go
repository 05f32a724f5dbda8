// The probes' application on Go's net/http. nethttp PORT
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func answer(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/status/") {
		if status, err := strconv.Atoi(r.URL.Path[len("/status/"):]); err == nil {
			w.WriteHeader(status)
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "method=%s\ntarget=%s\nhost=%s\nprobe=%s\nbody=%s", r.Method, r.RequestURI,
		r.Host, r.Header.Get("X-Probe"), body)
}

func main() {
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(answer)))
}
