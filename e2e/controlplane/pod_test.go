//go:build linux

package controlplane

import (
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// pod is what kubelet needs of a manifest. All pods here have the network of the
// host, and mount the host's directories where they are.
type pod struct {
	Spec struct {
		TerminationGracePeriodSeconds *int        `json:"terminationGracePeriodSeconds"`
		Containers                    []container `json:"containers"`
	} `json:"spec"`
}

type container struct {
	Name    string   `json:"name"`
	Command []string `json:"command"`
	Args    []string `json:"args"`
	Env     []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
	SecurityContext struct {
		Capabilities struct {
			Drop []string `json:"drop"`
		} `json:"capabilities"`
	} `json:"securityContext"`
	Lifecycle struct {
		PreStop struct {
			Sleep struct {
				Seconds int `json:"seconds"`
			} `json:"sleep"`
		} `json:"preStop"`
	} `json:"lifecycle"`
}

// parsePod reads a manifest, YAML or JSON. An empty one is a pod without containers.
func parsePod(manifest string) (*pod, error) {
	p := new(pod)
	return p, yaml.Unmarshal([]byte(manifest), p)
}

// grace is the time that the containers have to end.
func (p *pod) grace() time.Duration {
	if s := p.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second // kubelet's default
}

func (c container) preStop() time.Duration {
	return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
}

// expand replaces $(NAME) as kubelet does: $$ is a dollar, and what is not known stays.
func expand(word string, env map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] != '$' || i+1 == len(word) {
			out.WriteByte(word[i])
			continue
		}
		if word[i+1] == '$' {
			out.WriteByte('$')
			i++
			continue
		}
		end := strings.IndexByte(word[i:], ')')
		value, ok := "", false
		if word[i+1] == '(' && end > 0 {
			value, ok = env[word[i+2:i+end]]
		}
		if !ok {
			out.WriteByte('$')
			continue
		}
		out.WriteString(value)
		i += end
	}
	return out.String()
}
