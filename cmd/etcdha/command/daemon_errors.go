package command

import (
	"errors"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// severalError is several errors, a line each, as people read them behind the name of the program.
type severalError struct {
	title  string
	errors error // its text has a line for each
}

func (e *severalError) Error() string {
	return e.title + ":\n  " + strings.ReplaceAll(e.errors.Error(), "\n", "\n  ")
}

func (e *severalError) Unwrap() error { return e.errors }

// several makes one of what is wrong with a configuration, if that is more than one thing.
func several(err error) error {
	all, ok := errors.AsType[config.Errors](err)
	if !ok || len(all) < 2 {
		return err
	}
	return &severalError{all[0].File + " has " + english.Plural(len(all), "error", ""), err}
}
