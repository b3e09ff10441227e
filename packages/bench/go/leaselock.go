package main

import (
	"context"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseLockPairs takes and gives back a Lease with the very requests of client-go's leader election: tryAcquireOrRenew and release of
// its LeaderElector get the Lease and update what they have got.
func leaseLockPairs(settings []byte, in io.Reader, out io.Writer) error {
	config, err := restConfig(settings)
	if err != nil {
		return err
	}
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return err
	}
	return servePairs(in, out, func(o order) (pair, error) {
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.Resource.Namespace, Name: o.Resource.Name},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: owner},
		}
		return pair{
			take:     func(ctx context.Context) error { return writeLease(ctx, lock, owner, 15, 1) },
			giveBack: func(ctx context.Context) error { return writeLease(ctx, lock, "", 1, 0) },
		}, nil
	})
}

func writeLease(ctx context.Context, lock *resourcelock.LeaseLock, holder string, seconds, transitions int) error {
	before, _, err := lock.Get(ctx)
	if err != nil {
		return err
	}
	now := metav1.NewTime(time.Now())
	return lock.Update(ctx, resourcelock.LeaderElectionRecord{
		HolderIdentity:       holder,
		LeaseDurationSeconds: seconds,
		LeaderTransitions:    before.LeaderTransitions + transitions,
		RenewTime:            now,
		AcquireTime:          now,
	})
}
