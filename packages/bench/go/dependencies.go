package main

// What the contenders use.
import (
	_ "github.com/giantswarm/kubelock/v4"
	_ "github.com/giantswarm/microerror"
	_ "go.etcd.io/etcd/client/v3"
	_ "k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/client-go/tools/leaderelection"
	_ "k8s.io/client-go/tools/leaderelection/resourcelock"
)
