package config

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage/s3"
)

func (r *reader) stores(s *section) []Store {
	all := s.free("stores")
	var stores []Store
	for _, name := range all.order {
		e := all.entries[name]
		r.checkName(value{path: e.path, line: e.line, text: name})
		stores = append(stores, r.store(name, r.section(storeShape, e.path, e)))
	}
	return stores
}

func (r *reader) store(name string, s *section) Store {
	store := Store{Name: name, Line: s.line}
	address := s.required("url", "s3://backups/etcd?region=eu-central-1")
	key, keyFrom := s.secret("accessKey")
	store.AccessKey = key.Reveal()
	var secretFrom, tokenFrom value
	store.SecretKey, secretFrom = s.secret("secretKey")
	store.SessionToken, tokenFrom = s.secret("sessionToken")

	const both = "set accessKey and secretKey, or neither for what the AWS configuration of the host says"
	switch {
	case keyFrom.given() && !secretFrom.given():
		r.wrong(keyFrom, "there is no secretKey with it", both)
	case secretFrom.given() && !keyFrom.given():
		r.wrong(secretFrom, "there is no accessKey with it", both)
	case tokenFrom.given() && !keyFrom.given():
		r.wrong(tokenFrom, "there is no accessKey with it", both)
	}
	store.URL = address.text
	if !address.checkable() {
		return store
	}
	scheme, rest, isURL := strings.Cut(address.text, "://")
	switch {
	case !isURL:
		store.URL = r.inDir(address.text)
	case scheme == "s3":
		r.checkS3(address)
	case scheme != "file":
		r.wrong(address, "there is no store of this kind", "write s3://BUCKET/PREFIX?region=REGION or a directory")
	case !strings.HasPrefix(rest, "/") || strings.ContainsAny(rest, "?#"):
		r.wrong(address, "a directory store is file:///DIRECTORY", "write the directory alone, without file://")
	}
	if keyFrom.given() && scheme != "s3" {
		r.wrong(keyFrom, "the store is a directory, which has no keys", "take it out")
	}
	return store
}

// place is where a store keeps what it has, without how to get there: "" if that is not known.
func (s Store) place() string {
	if strings.Contains(s.URL, Placeholder) {
		return ""
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "s3" {
		return filepath.Clean(strings.TrimPrefix(s.URL, "file://"))
	}
	settings, err := s3.Parse(u)
	if err != nil {
		return ""
	}
	return strings.Join([]string{"s3", strings.TrimSuffix(settings.Endpoint, "/"), settings.Bucket, settings.Prefix}, " ")
}

func (r *reader) checkS3(v value) {
	u, err := url.Parse(v.text)
	if err != nil {
		r.wrong(v, "it is no URL", "write s3://BUCKET/PREFIX?region=REGION")
		return
	}
	settings, err := s3.Parse(u)
	if err != nil {
		fix := fail.Hint(err)
		if fix == "" {
			fix = "write s3://BUCKET/PREFIX?region=REGION"
		}
		r.wrong(v, err.Error(), fix)
		return
	}
	if settings.CAFile != "" {
		r.refer(PlainFile, settings.CAFile, v.line)
	}
}
