// Package config reads the daemon's configuration file.
//
// What always holds: a key that is not known is an error, and so is one that is given
// twice; every error names file, line, what is wrong and how to mend it, and all errors
// of a file are told at once. Secrets come by ${VARIABLE} or from files, and are in
// no error.
package config

import (
	"time"

	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/snapshot/retention"
)

// JobName names a job.
type JobName string

// Jobs.
const (
	Snapshot     JobName = "snapshot"
	VerifySample JobName = "verify-sample" // stored bytes of those that were not read for longest
	Verify       JobName = "verify"        // everything, of all backups
	Rehearse     JobName = "rehearse"
	Prune        JobName = "prune"
	Defrag       JobName = "defrag"
	Health       JobName = "health"
)

// JobNames are all of them, in the order in which people read them.
var JobNames = []JobName{Snapshot, VerifySample, Verify, Rehearse, Prune, Defrag, Health}

// File is a configuration.
type File struct {
	Path        string
	Server      Server
	Concurrency int    // runs of one instance at the same time, but for health; default 4
	SpoolDir    string // "" is the temporary directory
	Webhooks    []Webhook
	Stores      []Store
	Clusters    []Cluster

	references []Reference
}

// References returns what the file refers to, each once, in the order of the lines. What is only
// in a default that no cluster takes is not among them.
func (f *File) References() []Reference { return f.references }

// Server is where the page, metrics and health are served. It is always TLS, with a
// certificate made at the start if none is given, or a Unix socket.
type Server struct {
	Listen            string // HOST:PORT or unix:///PATH; "" is nowhere
	CertFile, KeyFile string
	TokenFile         string // "" is none; needed, or a client CA, unless on loopback or a socket
	ClientCAFile      string
	Line              int
}

// Webhook is told of failures and recoveries.
type Webhook struct {
	Name    string
	URL     Secret // as a whole: that of a chat service is its password
	Headers map[string]Secret
	Line    int
}

// Store is a store that clusters may use.
type Store struct {
	Name string
	URL  string // as for --store
	// AccessKey and SecretKey are of S3, both or none; else the SDK finds its own.
	AccessKey               string
	SecretKey, SessionToken Secret
	Line                    int
}

// Cluster is one cluster, with the file's defaults filled in.
type Cluster struct {
	Name      string
	Endpoints []string
	// Local is the endpoint of the member on this host, "" where there is none.
	Local              string
	CACert, Cert, Key  string // files
	InsecureTransport  bool
	InsecureSkipVerify bool
	User               string
	Password           Secret
	Zones              map[string]string // by name of member

	Stores     []Store
	Encryption Encryption
	Keep       retention.Policy // of prune
	Rehearsal  Rehearsal
	Sample     float64 // share of the stored bytes that verify-sample reads, 0 to 1; default 1/7
	Jobs       []Job   // in the order of JobNames; one without a schedule is not there
	// Files stands for the contents of the key files: whoever watches them sets it, so that
	// a cluster whose files have changed has changed.
	Files string
	Line  int
}

// Encryption says how backups are sealed and opened.
type Encryption struct {
	Recipients      []string
	RecipientsFiles []string
	IdentityFiles   []string
	SignKeyFile     string
	VerifyKeyFiles  []string
	Line            int
}

// Rehearsal says how backups are rehearsed.
type Rehearsal struct {
	Members    int    // 1, 3 or 5; default 3
	Kubernetes bool   // the bumped restore too
	Etcd       string // binary; "" is the built-in one
}

// Job is a job and when it runs.
type Job struct {
	Name     JobName
	Schedule schedule.Schedule
	Spec     string        // as in the file
	Jitter   time.Duration // at most so much later; the same at every slot and instance
	Deadline time.Duration // of a run with all its tries, from when it begins; tries begin only before the next slot
	Line     int
}

// Kind is what a file refers to.
type Kind string

// Kinds of reference.
const (
	Variable   Kind = "variable"    // of the environment
	SecretFile Kind = "secret file" // whose content is a value, such as passwordFile
	PlainFile  Kind = "file"        // that is opened later: TLS files, identities, keys
)

// Reference is a variable or a file that the configuration needs beside itself.
type Reference struct {
	Kind Kind
	Name string // of the variable, or path of the file
	Line int    // where it is first
}

// Options are what a file may refer to.
//
// Where its secrets are not, a file can be read with [Placeholder] in the place of each
// variable and of each file's content. [File.References] tells of them all the same.
type Options struct {
	// ReadFile reads files that hold a secret, each once; default os.ReadFile. The first line
	// counts.
	ReadFile func(name string) ([]byte, error)
	// LookupEnv finds a variable for ${NAME}; default os.LookupEnv.
	LookupEnv func(name string) (string, bool)
}
