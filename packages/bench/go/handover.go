package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/giantswarm/kubelock/v4"
	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

func init() { contenders["handover"] = handover }

const handoverNamespace = "default"

// contendOrder is what one process is to do. Times are of the machine's monotonic clock, which all its processes share.
type contendOrder struct {
	Tag      string `json:"_tag"`
	Strategy struct {
		Tag         string `json:"_tag"`
		EveryMillis int64  `json:"everyMillis"`
		RetryMillis int64  `json:"retryMillis"`
	} `json:"strategy"`
	Contender         string `json:"contender"`
	ConfigMap         string `json:"configMap"`
	HoldMillis        int64  `json:"holdMillis"`
	ThinkMillisAtMost int64  `json:"thinkMillisAtMost"`
	BeginMicros       int64  `json:"beginMicros"`
	FromMicros        int64  `json:"fromMicros"`
	UntilMicros       int64  `json:"untilMicros"`
}

type turn struct {
	AskedMicros    int64 `json:"askedMicros"`
	StartedMicros  int64 `json:"startedMicros"`
	SentMicros     int64 `json:"sentMicros,omitempty"`
	AnsweredMicros int64 `json:"answeredMicros,omitempty"`
}

type waits struct {
	SumMicros     int64 `json:"sumMicros"`
	LongestMicros int64 `json:"longestMicros"`
}

type contendedAnswer struct {
	Tag          string `json:"_tag"`
	Acquisitions int    `json:"acquisitions"`
	Waits        waits  `json:"waits"`
	Turns        []turn `json:"turns"`
	Requests     int    `json:"requests"`
}

func monotonicMicros() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano() / 1_000
}

func sleepUntil(atMicros int64) {
	time.Sleep(time.Duration(atMicros-monotonicMicros()) * time.Microsecond)
}

// contention is one order being carried out.
type contention struct {
	order    contendOrder
	requests atomic.Int64
	// releasing is set from the end of a section until its lock is released.
	releasing atomic.Bool
	// current is written where nothing else runs, and by the one request that releases.
	current turn
	turns   []turn
	longest int64
}

// handover contends for a lock as it is told, until in ends.
func handover(settings []byte, in io.Reader, out io.Writer) error {
	// Who loses a race says so, again and again.
	klog.SetLogger(logr.Discard())
	var given struct {
		Kubeconfig string `json:"kubeconfig"`
	}
	if err := json.Unmarshal(settings, &given); err != nil {
		return err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(given.Kubeconfig))
	if err != nil {
		return err
	}
	config.QPS = -1
	var contending atomic.Pointer[contention]
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			return contending.Load().roundTrip(next, request)
		})
	})

	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c := &contention{}
		if err := json.Unmarshal(line, &c.order); err != nil {
			return fmt.Errorf("unreadable order: %w", err)
		}
		contending.Store(c)
		if err := c.run(config); err != nil {
			return err
		}
		if err := answers.Encode(c.answer()); err != nil {
			return err
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (c *contention) isCounted(micros int64) bool {
	return micros >= c.order.FromMicros && micros < c.order.UntilMicros
}

func (c *contention) roundTrip(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	sent := monotonicMicros()
	if c.isCounted(sent) {
		c.requests.Add(1)
	}
	isRelease := request.Method == http.MethodPut && c.releasing.Load()
	response, err := next.RoundTrip(request)
	if isRelease && err == nil && response.StatusCode == http.StatusOK {
		c.current.SentMicros, c.current.AnsweredMicros = sent, monotonicMicros()
	}
	return response, err
}

func (c *contention) isOver() bool { return monotonicMicros() >= c.order.UntilMicros }

func (c *contention) run(config *rest.Config) error {
	take, err := c.taker(config)
	if err != nil {
		return err
	}
	sleepUntil(c.order.BeginMicros)
	for !c.isOver() {
		c.current = turn{AskedMicros: monotonicMicros()}
		if err := take(); err != nil {
			return err
		}
		c.releasing.Store(false)
		if c.current.StartedMicros == 0 {
			c.longest = c.order.UntilMicros - c.current.AskedMicros
			break
		}
		c.turns = append(c.turns, c.current)
		if c.order.ThinkMillisAtMost > 0 {
			think := time.Duration(c.order.ThinkMillisAtMost) * time.Millisecond
			time.Sleep(time.Duration(rand.Float64() * float64(think)))
		}
	}
	return nil
}

// section is what is done under the lock.
func (c *contention) section() {
	c.current.StartedMicros = monotonicMicros()
	time.Sleep(time.Duration(c.order.HoldMillis) * time.Millisecond)
	c.releasing.Store(true)
}

// taker waits for the lock, runs the section and releases the lock; when all is over while it waits, it gives up.
func (c *contention) taker(config *rest.Config) (func() error, error) {
	switch c.order.Strategy.Tag {
	case "Poll":
		return c.poller(config)
	case "Elect":
		return c.elector(config)
	}
	return nil, fmt.Errorf("there is no strategy %q", c.order.Strategy.Tag)
}

func (c *contention) poller(config *rest.Config) (func() error, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	locks, err := kubelock.New(kubelock.Config{
		DynClient: client,
		GVR:       schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
	})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	lock := locks.Lock("contended").Namespace(handoverNamespace)
	every := time.Duration(c.order.Strategy.EveryMillis) * time.Millisecond
	return func() error {
		for {
			options := kubelock.AcquireOptions{Owner: c.order.Contender, TTL: 30 * time.Second}
			if lock.Acquire(ctx, c.order.ConfigMap, options) == nil {
				break
			}
			if c.isOver() {
				return nil
			}
			time.Sleep(every)
		}
		c.section()
		return lock.Release(ctx, c.order.ConfigMap, kubelock.ReleaseOptions{Owner: c.order.Contender})
	}, nil
}

func (c *contention) elector(config *rest.Config) (func() error, error) {
	client, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	retry := time.Duration(c.order.Strategy.RetryMillis) * time.Millisecond
	return func() error {
		left := time.Duration(c.order.UntilMicros-monotonicMicros()) * time.Microsecond
		ctx, cancel := context.WithTimeout(context.Background(), left)
		defer cancel()
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: handoverNamespace, Name: c.order.ConfigMap},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: c.order.Contender},
			},
			LeaseDuration:   1500 * time.Millisecond,
			RenewDeadline:   time.Second,
			RetryPeriod:     retry,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) {
					c.section()
					cancel()
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return err
		}
		elector.Run(ctx)
		return nil
	}, nil
}

func (c *contention) answer() contendedAnswer {
	answer := contendedAnswer{
		Tag:      "Contended",
		Turns:    []turn{},
		Requests: int(c.requests.Load()),
		Waits:    waits{LongestMicros: c.longest},
	}
	for _, turn := range c.turns {
		if !c.isCounted(turn.StartedMicros) {
			continue
		}
		waited := turn.StartedMicros - turn.AskedMicros
		answer.Acquisitions++
		answer.Waits.SumMicros += waited
		answer.Waits.LongestMicros = max(answer.Waits.LongestMicros, waited)
		answer.Turns = append(answer.Turns, turn)
	}
	return answer
}
