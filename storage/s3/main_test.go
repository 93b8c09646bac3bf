package s3_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at a time than there are cores: most of them
// wait for a connection that does not answer. It also is a racer, if started as
// one.
func TestMain(m *testing.M) {
	if u, ok := os.LookupEnv(racerURL); ok {
		must(race(u))
		return
	}
	flag.Parse()
	must(flag.Set("test.parallel", "12"))
	m.Run()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
