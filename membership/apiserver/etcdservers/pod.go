package etcdservers

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// container is a container of a Pod that mentions the flag.
type container struct {
	doc  *document
	node *yaml.Node
	name string
	// words are those of the whole command line, from the name of kube-apiserver on
	// where that was found.
	words []view
	found bool
	env   environment
}

// readPod reads a manifest of kubelet.
func readPod(doc *document) (*File, error) {
	c, err := findContainer(doc)
	if err != nil {
		return nil, err
	}
	value, ok, err := flagValue(c.words)
	if err == nil && !ok {
		err = fmt.Errorf("%s is not a word of its own in container %s", FlagName, c.name)
	}
	if err != nil {
		return nil, doc.src.refuse(c.node.Line, err.Error(), "write "+FlagName+"=URL,URL as one item of the command")
	}
	servers := Split(value.text)
	if err := c.env.refuseVariable(doc, value); err != nil {
		return nil, err
	}
	if err := doc.src.checkServers(value.line(), servers); err != nil {
		return nil, err
	}
	args := texts(c.words)
	if strings.HasPrefix(args[0], "-") { // the image names the command
		args = append([]string{"kube-apiserver"}, args...)
	}
	return &File{
		Path: doc.src.path, Form: StaticPod, Flag: FlagName,
		Where:   fmt.Sprintf("line %d, container %s", value.line(), c.name),
		Servers: servers, Args: args,
		data: []byte(doc.src.data), mounts: doc.mounts(c.node),
		rewrite: rewriteFlag(value), recheck: recheckFlag(value.text),
	}, nil
}

// findContainer finds the one container that runs kube-apiserver with the flag.
func findContainer(doc *document) (*container, error) {
	var with, running []*container
	var unread error // of a container that may be a sidecar, if another one runs kube-apiserver
	for _, n := range items(field(doc.root, "spec", "containers")) {
		c, err := readContainer(doc, n)
		if err != nil && unread == nil {
			unread = err
		}
		if err != nil || c == nil {
			continue
		}
		with = append(with, c)
		if c.found {
			running = append(running, c)
		}
	}
	switch {
	case len(running) == 1:
		return running[0], nil
	case unread != nil:
		return nil, unread
	case len(running) > 1 || len(with) > 1:
		return nil, doc.src.refuse(with[1].node.Line, "several containers have "+FlagName, "give each its own Pod")
	case len(with) == 1 && with[0].isAPIServer():
		return with[0], nil
	case len(with) == 1:
		return nil, doc.src.refuse(with[0].node.Line,
			fmt.Sprintf("container %s runs %s, not kube-apiserver", with[0].name, with[0].words[0].text), "name the manifest of kube-apiserver")
	case mentionsFlag(doc.src.data):
		return nil, doc.src.refuse(0, FlagName+" is not in the command of a container", "write it there, or edit the file by hand")
	}
	return nil, fmt.Errorf("%s: %w", doc.src.path, ErrNotFound)
}

// isAPIServer tells by the name of a container what it runs where the command
// does not say: the image has it, or it is a script of somebody.
func (c *container) isAPIServer() bool {
	return strings.HasPrefix(c.words[0].text, "-") || strings.Contains(c.name, "kube-apiserver")
}

// readContainer reads a container; nil if it does not mention the flag.
func readContainer(doc *document, n *yaml.Node) (*container, error) {
	c := &container{doc: doc, node: n, name: textOf(field(n, "name"))}
	if field(n, "<<") != nil {
		return nil, doc.src.refuse(n.Line, "a container is merged from another place", "write it out")
	}
	var err error
	if c.env, err = readEnvironment(doc, n); err != nil {
		return nil, doc.src.refuse(n.Line, err.Error(), "edit the file by hand")
	}
	for _, key := range []string{"command", "args"} {
		for _, item := range items(field(n, key)) {
			word, err := doc.scalar(item)
			if err != nil {
				return nil, doc.src.refuse(item.Line, err.Error(), "write the command as a list of strings")
			}
			c.words = append(c.words, c.env.expand(word.view))
		}
	}
	mentioned := false
	for _, word := range c.words {
		mentioned = mentioned || mentionsFlag(word.text)
	}
	if !mentioned {
		return nil, nil
	}
	if err := c.readShell(); err != nil {
		return nil, err
	}
	c.dropWrapper()
	return c, nil
}

// readShell takes the words of the command from the command line of a shell, if
// there is one.
func (c *container) readShell() error {
	src := c.doc.src
	script, rest, ok := shellScript(c.words)
	if !ok {
		if i := slices.IndexFunc(c.words, func(word view) bool { return braces.MatchString(word.text) }); i >= 0 {
			return src.refuse(c.words[i].line(), "is a template, or meant for a shell: kubelet puts nothing in place of "+braces.FindString(c.words[i].text),
				"render it, or write $(NAME)")
		}
		return nil
	}
	for _, word := range rest {
		if mentionsFlag(word.text) {
			return src.refuse(word.line(), FlagName+" is an argument of a shell script", "write the command out")
		}
	}
	words, err := readCommandLine(script, c.env)
	if err != nil {
		return src.refuse(script.line(), err.Error(), "write the flags as items of the command, or edit the file by hand")
	}
	c.words = words
	return nil
}

// braces are a variable of a shell, or of a template.
var braces = regexp.MustCompile(`\$\{\w*\}?`)

// dropWrapper leaves the words of kube-apiserver alone, if something else starts
// it, such as go-runner or nice.
func (c *container) dropWrapper() {
	for i, word := range c.words {
		if hasFlag(word.text) {
			return
		}
		base := path.Base(word.text)
		if i > 0 && (base == "apiserver" || strings.HasPrefix(word.text, "-")) {
			continue
		}
		if runsAPIServer(texts(c.words[i:])) {
			c.words, c.found = c.words[i:], true
			return
		}
	}
}

// mounts are the directories and files of the host in a container.
func (d *document) mounts(c *yaml.Node) []mount {
	hosts := map[string]string{}
	for _, volume := range items(field(d.root, "spec", "volumes")) {
		if host := textOf(field(volume, "hostPath", "path")); host != "" {
			hosts[textOf(field(volume, "name"))] = host
		}
	}
	var all []mount
	for _, m := range items(field(c, "volumeMounts")) {
		host, ok := hosts[textOf(field(m, "name"))]
		if inside := textOf(field(m, "mountPath")); ok && inside != "" {
			all = append(all, mount{container: path.Clean(inside), host: path.Join(host, textOf(field(m, "subPath")))})
		}
	}
	return all
}

// environment is what env of a container sets. kubelet puts it in place of
// $(NAME), a shell in place of $NAME.
type environment struct {
	known   map[string]view
	unknown map[string]bool // set from elsewhere
	open    bool            // envFrom may set more
}

// readEnvironment reads env in its order: a value may use those before it.
func readEnvironment(doc *document, container *yaml.Node) (environment, error) {
	env := environment{known: map[string]view{}, unknown: map[string]bool{}}
	env.open = len(items(field(container, "envFrom"))) > 0
	for _, item := range items(field(container, "env")) {
		name := textOf(field(item, "name"))
		delete(env.known, name)
		delete(env.unknown, name)
		if field(item, "valueFrom") != nil {
			env.unknown[name] = true
			continue
		}
		value := field(item, "value")
		if value == nil {
			env.known[name] = view{}
			continue
		}
		s, err := doc.scalar(value)
		if err != nil {
			return environment{}, err
		}
		env.known[name] = env.expand(s.view)
	}
	return env, nil
}

// expand replaces $(NAME) as kubelet does; $$ is a dollar sign. What is not known
// stays as it is.
func (env environment) expand(v view) view {
	var parts []view
	done := 0
	for i := 0; i+1 < len(v.text); i++ {
		if v.text[i] != '$' {
			continue
		}
		end := strings.IndexByte(v.text[i:], ')')
		switch {
		case v.text[i+1] == '$':
			parts = append(parts, v.slice(done, i), v.slice(i+1, i+2))
			i, done = i+1, i+2
		case v.text[i+1] == '(' && end > 0:
			if value, ok := env.known[v.text[i+2:i+end]]; ok {
				parts = append(parts, v.slice(done, i), value)
				done = i + end + 1
			}
			i += end
		}
	}
	if done == 0 {
		return v
	}
	return join(append(parts, v.slice(done, len(v.text)))...)
}

// refuseVariable refuses a list in which a variable has stayed.
func (env environment) refuseVariable(doc *document, value view) error {
	_, rest, ok := strings.Cut(value.text, "$(")
	name, _, closed := strings.Cut(rest, ")")
	if !ok || !closed {
		return nil
	}
	source := "no value in the manifest"
	if env.unknown[name] || env.open {
		source = "its value from outside of the manifest"
	}
	return doc.src.refuse(value.line(), fmt.Sprintf("the list is in the variable %s, which has %s", name, source),
		"change the list where the value comes from, or write it into the manifest")
}
