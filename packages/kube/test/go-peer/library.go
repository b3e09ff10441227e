package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/giantswarm/kubelock/v4"
	"github.com/giantswarm/microerror"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

type lockRequest struct {
	// Kubeconfig is the file's text, not its path.
	Kubeconfig string `json:"kubeconfig"`
	// QueriesPerSecond is client-go's client-side rate limit: 0 for its default of 5, negative for none.
	QueriesPerSecond float32 `json:"queriesPerSecond"`
	Group            string  `json:"group"`
	Version          string  `json:"version"`
	Resource         string  `json:"resource"`
	// Namespace is empty for cluster-scoped resources.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Lock      string `json:"lock"`
	Owner     string `json:"owner"`
	// TTLNanos of 0 asks for the library's default.
	TTLNanos int64 `json:"ttlNanos,string"`
}

type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// clients keeps one dynamic client per kubeconfig and rate limit, as a Go program would hold it.
type clients struct {
	held sync.Map
}

type clientKey struct {
	kubeconfig       string
	queriesPerSecond float32
}

func (c *clients) acquire(r lockRequest) *failure {
	lock, err := c.lock(r)
	if err != nil {
		return failed(err)
	}
	return failed(lock.Acquire(context.Background(), r.Name, acquireOptions(r)))
}

func (c *clients) release(r lockRequest) *failure {
	lock, err := c.lock(r)
	if err != nil {
		return failed(err)
	}
	return failed(lock.Release(context.Background(), r.Name, releaseOptions(r)))
}

func acquireOptions(r lockRequest) kubelock.AcquireOptions {
	return kubelock.AcquireOptions{Owner: r.Owner, TTL: time.Duration(r.TTLNanos)}
}

func releaseOptions(r lockRequest) kubelock.ReleaseOptions {
	return kubelock.ReleaseOptions{Owner: r.Owner}
}

func (c *clients) lock(r lockRequest) (kubelock.Lock, error) {
	client, err := c.client(clientKey{r.Kubeconfig, r.QueriesPerSecond})
	if err != nil {
		return nil, err
	}
	locks, err := kubelock.New(kubelock.Config{
		DynClient: client,
		GVR:       schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource},
	})
	if err != nil {
		return nil, err
	}
	if r.Namespace == "" {
		return locks.Lock(r.Lock), nil
	}
	return locks.Lock(r.Lock).Namespace(r.Namespace), nil
}

func (c *clients) client(key clientKey) (dynamic.Interface, error) {
	if client, ok := c.held.Load(key); ok {
		return client.(dynamic.Interface), nil
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(key.kubeconfig))
	if err != nil {
		return nil, err
	}
	config.QPS = key.queriesPerSecond
	config.Timeout = 30 * time.Second
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	held, _ := c.held.LoadOrStore(key, client)
	return held.(dynamic.Interface), nil
}

func failed(err error) *failure {
	if err == nil {
		return nil
	}
	return &failure{Kind: kindOf(err), Message: err.Error()}
}

func kindOf(err error) string {
	switch {
	case err == nil:
		return ""
	case kubelock.IsAlreadyExists(err):
		return "alreadyExists"
	case kubelock.IsNotFound(err):
		return "notFound"
	case kubelock.IsOwnerMismatch(err):
		return "ownerMismatch"
	case kubelock.IsInvalidConfig(err):
		return "invalidConfig"
	}
	var status apierrors.APIStatus
	if errors.As(microerror.Cause(err), &status) && status.Status().Reason != metav1.StatusReasonUnknown {
		return "kubernetes: " + string(status.Status().Reason)
	}
	return "other"
}
