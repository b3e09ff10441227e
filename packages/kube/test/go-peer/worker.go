package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// workerOrders, toldByWorker and verdict are the messages of ../chaos/Message.ts.
type workerOrders struct {
	Worker      string `json:"worker"`
	Incarnation int    `json:"incarnation"`
	// KubeconfigFile is a path.
	KubeconfigFile string `json:"kubeconfigFile"`
	Namespace      string `json:"namespace"`
	ConfigMap      string `json:"configMap"`
	Lock           string `json:"lock"`
	TTLMillis      int64  `json:"ttlMillis"`
}

type toldByWorker struct {
	Tag         string `json:"_tag"`
	Request     *int   `json:"request,omitempty"`
	Section     string `json:"section,omitempty"`
	Acquisition string `json:"acquisition,omitempty"`
	Token       string `json:"token,omitempty"`
	Failure     string `json:"failure,omitempty"`
}

type verdict struct {
	Request  int  `json:"request"`
	Accepted bool `json:"accepted"`
}

// requestTimeout bounds each call of the library; the lock must outlive a few of them.
const requestTimeout = 500 * time.Millisecond

// retryAtMost is how long it takes to try again: all workers are eager for some seconds, and then leave locks that are free or
// expire to those who wait for them for some.
func retryAtMost(now time.Time) time.Duration {
	if now.Unix()/5%3 == 0 {
		return 100 * time.Millisecond
	}
	return 2 * time.Second
}

// worker wants one lock again and again, as a program that uses the Go library would, and asks the parent, who is the
// resource that the lock protects, before everything it does under it.
//
// The library renews nothing and keeps no margin. So each section is short, is begun only while half of the TTL is left, and
// each acquisition has an owner of its own, which tells it from those before it. The library has no fencing token either: the
// object's resourceVersion while the record is this acquisition's is one, since whoever comes next writes a higher one.
type worker struct {
	orders   workerOrders
	clients  *clients
	out      *json.Encoder
	verdicts chan verdict
	ending   chan struct{}
	asked    int
}

func work(argument string, in io.Reader, out io.Writer) error {
	w := &worker{clients: &clients{}, out: json.NewEncoder(out), verdicts: make(chan verdict), ending: make(chan struct{})}
	if err := json.Unmarshal([]byte(argument), &w.orders); err != nil {
		return fmt.Errorf("unreadable orders: %w", err)
	}
	kubeconfig, err := os.ReadFile(w.orders.KubeconfigFile)
	if err != nil {
		return err
	}
	go w.readVerdicts(in)
	w.tell(toldByWorker{Tag: "Ready"})
	for n := 1; ; n++ {
		if err := w.turn(lockRequest{
			Kubeconfig:       string(kubeconfig),
			QueriesPerSecond: -1,
			Version:          "v1",
			Resource:         "configmaps",
			Namespace:        w.orders.Namespace,
			Name:             w.orders.ConfigMap,
			Lock:             w.orders.Lock,
			Owner:            fmt.Sprintf("%s/%d/%d", w.orders.Worker, w.orders.Incarnation, n),
			TTLNanos:         w.orders.TTLMillis * int64(time.Millisecond),
		}); err != nil {
			return err
		}
		if w.isEnding() {
			return nil
		}
	}
}

// turn tries once to acquire the lock, and works under it if it could.
func (w *worker) turn(r lockRequest) error {
	ttl := time.Duration(r.TTLNanos)
	asked := time.Now()
	lock, err := w.clients.lock(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := lock.Acquire(ctx, r.Name, acquireOptions(r)); err != nil {
		// The library does not wait for a lock: that it is held is no news.
		if kind := kindOf(err); kind != "ownerMismatch" {
			w.tell(toldByWorker{Tag: "Failed", Failure: "acquire: " + kind})
		}
		time.Sleep(rand.N(retryAtMost(time.Now())))
		return nil
	}
	if token, err := w.token(r); err != nil {
		w.tell(toldByWorker{Tag: "Failed", Failure: "token: " + kindOf(err)})
	} else if time.Since(asked) < ttl/2 {
		w.section(r.Owner, token)
	}
	ctx, cancel = context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := lock.Release(ctx, r.Name, releaseOptions(r)); err != nil {
		w.tell(toldByWorker{Tag: "Failed", Failure: "release: " + kindOf(err)})
	}
	time.Sleep(rand.N(50 * time.Millisecond))
	return nil
}

// token is the resourceVersion of an object that shows this acquisition's record.
func (w *worker) token(r lockRequest) (string, error) {
	client, err := w.clients.client(clientKey{r.Kubeconfig, r.QueriesPerSecond})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	resource := schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource}
	object, err := client.Resource(resource).Namespace(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	var data lockData
	if err := json.Unmarshal([]byte(object.GetAnnotations()["kubelock.giantswarm.io/"+r.Lock]), &data); err != nil {
		return "", err
	}
	if data.Owner != r.Owner {
		return "", fmt.Errorf("the lock is not %s's any more", r.Owner)
	}
	return object.GetResourceVersion(), nil
}

func (w *worker) section(acquisition, token string) {
	use := toldByWorker{Tag: "Enter", Section: acquisition, Acquisition: acquisition, Token: token}
	if !w.ask(use) {
		return
	}
	use.Tag, use.Acquisition = "Use", ""
	for steps := 1 + rand.N(3); steps > 0; steps-- {
		time.Sleep(5*time.Millisecond + rand.N(25*time.Millisecond))
		if !w.ask(use) {
			break
		}
	}
	w.ask(toldByWorker{Tag: "Leave", Section: acquisition})
}

// ask tells something and waits for the parent's verdict.
func (w *worker) ask(t toldByWorker) bool {
	w.asked++
	t.Request = &w.asked
	w.tell(t)
	return (<-w.verdicts).Accepted
}

func (w *worker) tell(t toldByWorker) {
	_ = w.out.Encode(t)
}

// readVerdicts ends this program when the parent is no more.
func (w *worker) readVerdicts(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var v verdict
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			fmt.Fprintln(os.Stderr, "kubelock-go-peer: unreadable verdict", strconv.Quote(lines.Text()))
			break
		}
		if v.Request == 0 {
			close(w.ending)
		} else {
			w.verdicts <- v
		}
	}
	os.Exit(1)
}

// isEnding holds once the parent wants no more.
func (w *worker) isEnding() bool {
	select {
	case <-w.ending:
		return true
	default:
		return false
	}
}
