package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// order, answer and resource are the messages of ../src/contenders/Message.ts.
type order struct {
	Resource    resource `json:"resource"`
	ObjectBytes int      `json:"objectBytes"`
	Pairs       int      `json:"pairs"`
}

type resource struct {
	Group     string `json:"group"`
	Version   string `json:"version"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type answer struct {
	PairMicros []float64      `json:"pairMicros"`
	Attempts   int            `json:"attempts"`
	Failures   map[string]int `json:"failures"`
}

// pair is one lock's way of being taken and given back.
type pair struct {
	take, giveBack func(context.Context) error
}

// failuresInARowAtMost: after so many it is not the other writers any more.
const failuresInARowAtMost = 1000

// attempt tries until it succeeds, and keeps count.
func (a *answer) attempt(what string, try func(context.Context) error) error {
	for tries := 1; ; tries++ {
		a.Attempts++
		err := try(context.Background())
		if err == nil {
			return nil
		}
		if tries > failuresInARowAtMost {
			return fmt.Errorf("%s failed %d times in a row, at last: %w", what, tries, err)
		}
		a.Failures[what+": "+reasonOf(err)]++
	}
}

func reasonOf(err error) string {
	if kind := kubelockKind(err); kind != "" {
		return kind
	}
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	return err.Error()
}

// servePairs carries out orders until in ends.
func servePairs(in io.Reader, out io.Writer, lockOf func(order) (pair, error)) error {
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return fmt.Errorf("unreadable order: %w", err)
		}
		lock, err := lockOf(o)
		if err != nil {
			return err
		}
		a, err := carryOut(lock, o.Pairs)
		if err != nil {
			return err
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

func carryOut(lock pair, pairs int) (answer, error) {
	a := answer{PairMicros: make([]float64, 0, pairs), Failures: map[string]int{}}
	for range pairs {
		begun := time.Now()
		if err := a.attempt("acquire", lock.take); err != nil {
			return a, err
		}
		if err := a.attempt("release", lock.giveBack); err != nil {
			return a, err
		}
		a.PairMicros = append(a.PairMicros, float64(time.Since(begun).Nanoseconds())/1e3)
	}
	return a, nil
}
