package admission

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Timed is a chain that tells how long it took, by the names that kube-apiserver's metrics have. It is a
// prometheus.Collector.
type Timed struct {
	chain         Chain
	plugins, step *prometheus.HistogramVec
	// clocks are made anew when the metrics are reset.
	clocks atomic.Pointer[clocks]
}

// clocks are the observers of each plugin and of a whole half, found without a lock.
type clocks struct {
	plugins []clock // as in the chain
	step    clock
}

// clock is the observers by half, operation and whether the write was refused, each made when first needed.
type clock [2][len(operations)][2]atomic.Pointer[prometheus.Observer]

var (
	halves     = [...]string{admit: "admit", validate: "validate"}
	operations = [...]Operation{Create, Update, Delete, Connect}
)

// NewTimed makes a chain that measures itself.
func NewTimed(c Chain) *Timed {
	buckets := []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5}
	labels := []string{"type", "operation", "rejected"}
	t := &Timed{
		chain: c,
		plugins: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_admission_controller_admission_duration_seconds", Buckets: buckets,
			Help: "How long an admission plugin took, by its name, the operation, and which half of admission it was.",
		}, append([]string{"name"}, labels...)),
		step: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_admission_step_admission_duration_seconds", Buckets: buckets,
			Help: "How long all plugins of one half of admission took, by the operation.",
		}, labels),
	}
	t.Reset()
	return t
}

// Reset forgets what has been measured.
func (t *Timed) Reset() {
	t.plugins.Reset()
	t.step.Reset()
	t.clocks.Store(&clocks{plugins: make([]clock, len(t.chain))})
}

// Describe sends the descriptions of the metrics.
func (t *Timed) Describe(out chan<- *prometheus.Desc) {
	t.plugins.Describe(out)
	t.step.Describe(out)
}

// Collect sends what has been measured.
func (t *Timed) Collect(out chan<- prometheus.Metric) {
	t.plugins.Collect(out)
	t.step.Collect(out)
}

// Mutate runs the mutators in order until one refuses.
func (t *Timed) Mutate(ctx context.Context, r *Request) error {
	return t.chain.run(ctx, r, admit, t.start(r, admit))
}

// Validate runs the validators in order until one refuses.
func (t *Timed) Validate(ctx context.Context, r *Request) error {
	return t.chain.run(ctx, r, validate, t.start(r, validate))
}

// stopwatch measures one half of one write. The zero stopwatch measures nothing.
type stopwatch struct {
	timed       *Timed
	clocks      *clocks
	half        half
	operation   int
	begin, last time.Time
}

func (t *Timed) start(r *Request, h half) stopwatch {
	now := time.Now()
	return stopwatch{
		timed: t, clocks: t.clocks.Load(), half: h, operation: slices.Index(operations[:], r.Operation), begin: now, last: now,
	}
}

// lap takes the time of a plugin.
func (w *stopwatch) lap(plugin int, err error) {
	if w.timed == nil {
		return
	}
	now := time.Now()
	w.observe(&w.clocks.plugins[plugin], w.timed.plugins, w.timed.chain[plugin], err, now.Sub(w.last))
	w.last = now
}

// stop takes the time of all of them.
func (w *stopwatch) stop(err error) {
	if w.timed != nil {
		w.observe(&w.clocks.step, w.timed.step, nil, err, w.last.Sub(w.begin))
	}
}

// observe counts a time of a plugin, or of the whole half if that is nil.
func (w *stopwatch) observe(c *clock, vec *prometheus.HistogramVec, p Plugin, err error, took time.Duration) {
	refused := 0
	if err != nil {
		refused = 1
	}
	at := &c[w.half][w.operation][refused]
	o := at.Load()
	if o == nil {
		labels := []string{halves[w.half], string(operations[w.operation]), strconv.FormatBool(err != nil)}
		if p != nil {
			labels = append([]string{p.Name()}, labels...)
		}
		found := vec.WithLabelValues(labels...)
		o = &found
		at.Store(o)
	}
	(*o).Observe(took.Seconds())
}
