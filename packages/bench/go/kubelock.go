package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/giantswarm/kubelock/v4"
	"github.com/giantswarm/microerror"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	lockName       = "bench"
	owner          = "bench"
	requestTimeout = 10 * time.Second
)

// cluster says how to reach an API server.
type cluster struct {
	// Kubeconfig is the file's text, not its path.
	Kubeconfig string `json:"kubeconfig"`
	// QueriesPerSecond is client-go's client-side rate limit: 0 for its default, negative for none.
	QueriesPerSecond float32 `json:"queriesPerSecond"`
}

func restConfig(settings []byte) (*rest.Config, error) {
	var c cluster
	if err := json.Unmarshal(settings, &c); err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(c.Kubeconfig))
	if err != nil {
		return nil, err
	}
	config.QPS = c.QueriesPerSecond
	config.Timeout = requestTimeout
	return config, nil
}

// kubelockPairs uses giantswarm/kubelock as its README says.
func kubelockPairs(settings []byte, in io.Reader, out io.Writer) error {
	config, err := restConfig(settings)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	return servePairs(in, out, func(o order) (pair, error) {
		r := o.Resource
		locks, err := kubelock.New(kubelock.Config{
			DynClient: client,
			GVR:       schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource},
		})
		if err != nil {
			return pair{}, err
		}
		lock := locks.Lock(lockName).Namespace(r.Namespace)
		return pair{
			take: func(ctx context.Context) error {
				return lock.Acquire(ctx, r.Name, kubelock.AcquireOptions{Owner: owner})
			},
			giveBack: func(ctx context.Context) error {
				return lock.Release(ctx, r.Name, kubelock.ReleaseOptions{Owner: owner})
			},
		}, nil
	})
}

// kubelockKind names the library's own errors, and those of the API server that it passes on.
func kubelockKind(err error) string {
	switch {
	case kubelock.IsAlreadyExists(err):
		return "AlreadyExists"
	case kubelock.IsNotFound(err):
		return "NotFound"
	case kubelock.IsOwnerMismatch(err):
		return "OwnerMismatch"
	}
	var status apierrors.APIStatus
	if errors.As(microerror.Cause(err), &status) {
		return string(status.Status().Reason)
	}
	return ""
}
