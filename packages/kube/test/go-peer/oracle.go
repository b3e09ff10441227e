package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/giantswarm/kubelock/v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const annotation = "kubelock.giantswarm.io/oracle"

// oneObject is a cluster of one object with at most one annotation, enough for the library to run on.
type oneObject struct {
	dynamic.NamespaceableResourceInterface
	value *string
}

func (o *oneObject) Resource(schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return o
}

func (o *oneObject) Get(context.Context, string, metav1.GetOptions, ...string) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	if o.value != nil {
		obj.SetAnnotations(map[string]string{annotation: *o.value})
	}
	return obj, nil
}

func (o *oneObject) Update(_ context.Context, obj *unstructured.Unstructured, _ metav1.UpdateOptions, _ ...string) (*unstructured.Unstructured, error) {
	o.value = nil
	if value, ok := obj.GetAnnotations()[annotation]; ok {
		o.value = &value
	}
	return obj, nil
}

func (o *oneObject) lock() kubelock.Lock {
	locks, err := kubelock.New(kubelock.Config{DynClient: o, GVR: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}})
	if err != nil {
		panic(err)
	}
	return locks.Lock("oracle")
}

// crossCheck lets the library itself meet the value and compares what it does with what lockData says it must do: nil for a
// value that must be refused. It returns "" when they agree.
func crossCheck(value []byte, want *lockData) string {
	text := string(value)
	owner := ""
	if want != nil {
		owner = want.Owner
	}
	stranger := owner + "?"
	ctx := context.Background()
	acquire := func(owner string) (error, *string) {
		o := &oneObject{value: &text}
		return o.lock().Acquire(ctx, "object", kubelock.AcquireOptions{Owner: owner}), o.value
	}
	release := func(owner string) (error, *string) {
		o := &oneObject{value: &text}
		return o.lock().Release(ctx, "object", kubelock.ReleaseOptions{Owner: owner}), o.value
	}

	acquired, afterAcquire := acquire(owner)
	released, afterRelease := release(owner)
	switch {
	case want == nil:
		if kind := kindOf(acquired); kind != "other" {
			return fmt.Sprintf("lockData refuses it, Acquire answers %q", kind)
		}
		if kind := kindOf(released); kind != "other" {
			return fmt.Sprintf("lockData refuses it, Release answers %q", kind)
		}
		return ""
	case want.CreatedAt.Add(want.TTL).Before(time.Now()):
		if acquired != nil || *afterAcquire == text {
			return fmt.Sprintf("lockData says expired, Acquire answers %v", acquired)
		}
		if kindOf(released) != "notFound" || !strings.HasSuffix(released.Error(), fmt.Sprintf("owned by %#q is expired", owner)) {
			return fmt.Sprintf("lockData says expired and owned by %q, Release answers %v", owner, released)
		}
		if other, _ := release(stranger); kindOf(other) != "notFound" || !strings.HasSuffix(other.Error(), fmt.Sprintf("it is not owned by %#q but %#q", stranger, owner)) {
			return fmt.Sprintf("lockData says expired and owned by %q, Release by another answers %v", owner, other)
		}
		return ""
	default:
		described := fmt.Sprintf("owned by %#q already acquired at %s with TTL %s", owner, want.CreatedAt.Format(time.RFC3339), want.TTL)
		if kindOf(acquired) != "alreadyExists" || !strings.HasSuffix(acquired.Error(), described) {
			return fmt.Sprintf("lockData says %s, Acquire answers %v", described, acquired)
		}
		if other, _ := acquire(stranger); kindOf(other) != "ownerMismatch" || !strings.HasSuffix(other.Error(), described) {
			return fmt.Sprintf("lockData says %s, Acquire by another answers %v", described, other)
		}
		if released != nil || afterRelease != nil {
			return fmt.Sprintf("lockData says %s, Release answers %v", described, released)
		}
		return ""
	}
}

// checkMirror lets the library write a record and holds lockData against the text: the same fields, in the same order, with
// nothing left over.
func checkMirror() error {
	const owner, ttl = "a<b>&c", 90 * time.Second
	o := &oneObject{}
	if err := o.lock().Acquire(context.Background(), "object", kubelock.AcquireOptions{Owner: owner, TTL: ttl}); err != nil {
		return fmt.Errorf("the library does not take a free lock: %w", err)
	}
	var data lockData
	if err := json.Unmarshal([]byte(*o.value), &data); err != nil {
		return fmt.Errorf("lockData does not read %s, which the library wrote: %w", *o.value, err)
	}
	again := encode(data).Text
	if again != *o.value || data.Owner != owner || data.TTL != ttl {
		return fmt.Errorf("the library wrote %s, lockData writes %s", *o.value, again)
	}
	return nil
}
