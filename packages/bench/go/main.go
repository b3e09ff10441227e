// Command kubelock-bench does what the benchmarks hold this repository's locks against: giantswarm/kubelock v4, unmodified, and what client-go
// and etcd's client offer.
//
// Its first argument says which of them, its second what it needs to know, as JSON. It reads orders from stdin and writes answers to stdout, a line of
// JSON each, and ends when stdin closes.
package main

import (
	"fmt"
	"io"
	"os"
)

// contenders by name: each is told its settings as JSON, and works until in ends.
var contenders = map[string]func(settings []byte, in io.Reader, out io.Writer) error{
	"kubelock":  kubelockPairs,
	"leaselock": leaseLockPairs,
	"etcd":      etcdPairs,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kubelock-bench:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("two arguments are needed, a contender's name and its settings; %d were given", len(arguments))
	}
	contend, ok := contenders[arguments[0]]
	if !ok {
		return fmt.Errorf("there is no contender %q", arguments[0])
	}
	return contend([]byte(arguments[1]), os.Stdin, os.Stdout)
}
