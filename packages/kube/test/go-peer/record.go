package main

import (
	"encoding/json"
	"time"
)

// lockData mirrors the library's unexported type of the same name, tag by tag; checkMirror and crossCheck hold it against the
// library's behaviour.
type lockData struct {
	Owner     string        `json:"owner"`
	CreatedAt time.Time     `json:"createdAt"`
	TTL       time.Duration `json:"ttl"`
}

// recordFields is lockData as the tests exchange it: 64-bit numbers as text, since JavaScript's numbers end at 2^53.
type recordFields struct {
	Owner            string `json:"owner"`
	CreatedAtUnixSec int64  `json:"createdAtUnixSec,string"`
	CreatedAtNsec    int64  `json:"createdAtNsec"`
	TTLNanos         int64  `json:"ttlNanos,string"`
}

// decoded is what Go makes of one annotation value.
type decoded struct {
	OK  bool   `json:"ok"`
	Err string `json:"err,omitempty"`
	recordFields
	// ReencodedUTC is what Go writes for the decoded fields with createdAt in UTC, as the library writes it; empty with
	// ReencodeErr set where Go cannot write it (a year beyond 0 to 9999).
	ReencodedUTC string `json:"reencodedUTC"`
	ReencodeErr  string `json:"reencodeErr,omitempty"`
	// Doubt says where the library itself behaved differently from lockData: a fault of this program.
	Doubt string `json:"doubt,omitempty"`
}

// toEncode carries the owner as bytes, since a Go string need not be valid UTF-8.
type toEncode struct {
	Owner            []byte `json:"ownerBase64"`
	CreatedAtUnixSec int64  `json:"createdAtUnixSec,string"`
	CreatedAtNsec    int64  `json:"createdAtNsec"`
	TTLNanos         int64  `json:"ttlNanos,string"`
}

type encoded struct {
	Text string `json:"text"`
	Err  string `json:"err,omitempty"`
}

func decodeAll(values [][]byte) []decoded {
	answers := make([]decoded, len(values))
	for i, value := range values {
		answers[i] = decode(value)
	}
	return answers
}

func decode(value []byte) decoded {
	var data lockData
	err := json.Unmarshal(value, &data)
	if err != nil {
		return decoded{Err: err.Error(), Doubt: crossCheck(value, nil)}
	}
	text := encode(data)
	return decoded{
		OK: true,
		recordFields: recordFields{
			Owner:            data.Owner,
			CreatedAtUnixSec: data.CreatedAt.Unix(),
			CreatedAtNsec:    int64(data.CreatedAt.Nanosecond()),
			TTLNanos:         int64(data.TTL),
		},
		ReencodedUTC: text.Text,
		ReencodeErr:  text.Err,
		Doubt:        crossCheck(value, &data),
	}
}

func encodeAll(records []toEncode) []encoded {
	answers := make([]encoded, len(records))
	for i, r := range records {
		answers[i] = encode(lockData{
			Owner:     string(r.Owner),
			CreatedAt: time.Unix(r.CreatedAtUnixSec, r.CreatedAtNsec),
			TTL:       time.Duration(r.TTLNanos),
		})
	}
	return answers
}

func encode(data lockData) encoded {
	data.CreatedAt = data.CreatedAt.UTC()
	text, err := json.Marshal(data)
	if err != nil {
		return encoded{Err: err.Error()}
	}
	return encoded{Text: string(text)}
}
