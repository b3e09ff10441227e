package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdPairs writes to etcd what a pair makes the API server write: the whole object, twice.
func etcdPairs(settings []byte, in io.Reader, out io.Writer) error {
	var c struct {
		Endpoint string `json:"endpoint"`
	}
	if err := json.Unmarshal(settings, &c); err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.Endpoint}, DialTimeout: requestTimeout})
	if err != nil {
		return err
	}
	defer client.Close()
	return servePairs(in, out, func(o order) (pair, error) {
		value := strings.Repeat("x", o.ObjectBytes)
		put := func(ctx context.Context) error {
			_, err := client.Put(ctx, o.Resource.Name, value)
			return err
		}
		return pair{take: put, giveBack: put}, nil
	})
}
