// Reads a scrape's text, keeps its samples as an exporter in Go would, and for each line on standard input writes them
// with the official client, as metrics made anew for each scrape. It answers with the samples, and with the seconds of
// wall time and of CPU that they took. Histograms are left out, to its advantage.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

type sample struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []string
}

type samples []sample

func (all samples) Describe(chan<- *prometheus.Desc) {}

func (all samples) Collect(metrics chan<- prometheus.Metric) {
	for _, one := range all {
		metrics <- prometheus.MustNewConstMetric(one.desc, one.kind, one.value, one.labels...)
	}
}

func read(path string) samples {
	file, err := os.Open(path)
	must(err)
	defer file.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(file)
	must(err)
	var all samples
	for name, family := range families {
		if family.GetType() == dto.MetricType_HISTOGRAM {
			continue
		}
		for _, metric := range family.Metric {
			var names, values []string
			for _, label := range metric.Label {
				names = append(names, label.GetName())
				values = append(values, label.GetValue())
			}
			desc := prometheus.NewDesc(name, family.GetHelp(), names, nil)
			kind, value := prometheus.GaugeValue, metric.GetGauge().GetValue()
			if family.GetType() == dto.MetricType_COUNTER {
				kind, value = prometheus.CounterValue, metric.GetCounter().GetValue()
			}
			all = append(all, sample{desc, kind, value, values})
		}
	}
	return all
}

func write(registry *prometheus.Registry, text *bytes.Buffer) {
	families, err := registry.Gather()
	must(err)
	encoder := expfmt.NewEncoder(text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		must(encoder.Encode(family))
	}
}

func cpu() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	all := read(os.Args[1])
	registry := prometheus.NewRegistry()
	registry.MustRegister(all)
	var text bytes.Buffer
	for turns := bufio.NewScanner(os.Stdin); turns.Scan(); {
		text.Reset()
		runtime.GC()
		start, before := time.Now(), cpu()
		write(registry, &text)
		fmt.Println(len(all), time.Since(start).Seconds(), cpu()-before)
	}
}
