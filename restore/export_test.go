package restore

// What a test cannot reach through the package's doors: the process table of
// the host is shared with everything else that runs there, tests included.
var (
	FindProcess       = findProcess
	CheckNotAnswering = checkNotAnswering
)
