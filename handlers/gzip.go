package handlers

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/replifire/replifire/limit"
)

const (
	// maxCompressors is how many answers are compressed at once; the others go out as they are.
	maxCompressors = 64
	// compressorBytes is about what one takes in memory.
	compressorBytes = 800 << 10
)

// compressors are used again and again, and never more than maxCompressors. Make them with
// newCompressors.
type compressors struct {
	memory *limit.Budget
	idle   sync.Pool
}

func newCompressors() *compressors {
	return &compressors{memory: limit.NewBudget(maxCompressors * compressorBytes)}
}

// take is a compressor that writes to w, nil if all are in use.
func (c *compressors) take(w io.Writer) *gzip.Writer {
	if !c.memory.Take(compressorBytes) {
		return nil
	}
	if z, ok := c.idle.Get().(*gzip.Writer); ok {
		z.Reset(w)
		return z
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err) // only for a level there is not
	}
	return z
}

// give gives one back.
func (c *compressors) give(z *gzip.Writer) {
	z.Reset(io.Discard)
	c.idle.Put(z)
	c.memory.Give(compressorBytes)
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func acceptsGzip(h http.Header) bool {
	all := false // what "*" says
	for _, value := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(value, ",") {
			coding, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return wanted(params)
			case "*":
				all = wanted(params)
			}
		}
	}
	return all
}

// wanted reports whether the parameter q, if there is one, is above 0.
func wanted(params string) bool {
	name, value, ok := strings.Cut(strings.TrimSpace(params), "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return true
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q > 0
}
