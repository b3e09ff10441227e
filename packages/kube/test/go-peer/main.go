// Command kubelock-go-peer drives the unmodified Go library github.com/giantswarm/kubelock/v4 for the TypeScript tests: what
// Go makes of an annotation's text, and the library's own Acquire and Release against a real API server.
//
// It reads one JSON request per line on stdin and writes one JSON answer per line on stdout, each with the request's id;
// answers to acquire and release may come in another order than the requests. It ends when stdin closes.
//
// With the argument "work" and a worker's orders it is a worker instead, which wants one lock until it is told to end.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

type request struct {
	ID      int64        `json:"id"`
	Acquire *lockRequest `json:"acquire"`
	Release *lockRequest `json:"release"`
	Decode  [][]byte     `json:"decode"`
	Encode  []toEncode   `json:"encode"`
}

type answer struct {
	ID      int64     `json:"id"`
	Failure *failure  `json:"failure,omitempty"`
	Decoded []decoded `json:"decoded,omitempty"`
	Encoded []encoded `json:"encoded,omitempty"`
}

func main() {
	if err := checkMirror(); err != nil {
		fmt.Fprintln(os.Stderr, "kubelock-go-peer:", err)
		os.Exit(1)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kubelock-go-peer:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 2 && arguments[0] == "work" {
		return work(arguments[1], os.Stdin, os.Stdout)
	}
	return serve(os.Stdin, os.Stdout)
}

func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	clients := &clients{}
	var writing sync.Mutex
	var pending sync.WaitGroup
	write := func(a answer) {
		writing.Lock()
		defer writing.Unlock()
		_ = answers.Encode(a)
	}

	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			pending.Wait()
			return nil
		}
		if err != nil {
			return err
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			return fmt.Errorf("unreadable request: %w", err)
		}
		switch {
		case req.Decode != nil:
			write(answer{ID: req.ID, Decoded: decodeAll(req.Decode)})
		case req.Encode != nil:
			write(answer{ID: req.ID, Encoded: encodeAll(req.Encode)})
		case req.Acquire != nil:
			pending.Go(func() { write(answer{ID: req.ID, Failure: clients.acquire(*req.Acquire)}) })
		case req.Release != nil:
			pending.Go(func() { write(answer{ID: req.ID, Failure: clients.release(*req.Release)}) })
		default:
			return fmt.Errorf("request %d asks for nothing that is known here", req.ID)
		}
	}
}
