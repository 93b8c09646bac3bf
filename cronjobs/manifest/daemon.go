package manifest

import "path"

// component of the objects of a daemon.
const component = "daemon"

func (r *renderer) selector() object { return object{{"matchLabels", r.labels(component)}} }

func (r *renderer) daemon() object {
	container := r.container([]string{"daemon", "--config=" + path.Join(configDir, configName)}, r.daemonMemory())
	if r.server.public {
		container = append(container, field{"ports", []object{{{"name", "https"}, {"containerPort", r.server.port}}}})
	}
	if r.server.port != 0 {
		container = append(container,
			field{"livenessProbe", r.probe("/healthz", 20)},
			field{"readinessProbe", r.probe("/readyz", 10)})
	}
	spec := object{{"selector", r.selector()}}
	pod := r.pod(r.o.Kind == DaemonSet, container)
	if r.o.Kind == DaemonSet {
		spec = append(spec, field{"updateStrategy", object{{"type", "RollingUpdate"}, {"rollingUpdate", object{{"maxUnavailable", 1}}}}})
	} else {
		spec = append(object{{"replicas", because{"One is active for a cluster, the other takes over.", 2}}}, spec...)
		pod = append(pod, field{"topologySpreadConstraints", r.spread()})
	}
	spec = append(spec, field{"template", object{{"metadata", object{{"labels", r.labels(component)}}}, {"spec", pod}}})
	return object{
		{"apiVersion", "apps/v1"}, {"kind", string(r.o.Kind)}, {"metadata", r.metadata(r.o.Name, component)}, {"spec", spec},
	}
}

// spread keeps replicas apart.
func (r *renderer) spread() []object {
	over := func(key, otherwise string) object {
		return object{
			{"maxSkew", 1}, {"topologyKey", key}, {"whenUnsatisfiable", otherwise},
			{"labelSelector", r.selector()}, {"matchLabelKeys", []string{"pod-template-hash"}},
		}
	}
	return []object{over("kubernetes.io/hostname", "DoNotSchedule"), over("topology.kubernetes.io/zone", "ScheduleAnyway")}
}

// probe is how kubelet asks; it does not verify the certificate.
func (r *renderer) probe(at string, period int) object {
	get := object{{"scheme", "HTTPS"}, {"port", r.server.port}, {"path", at}}
	if r.server.host != "" {
		get = append(object{{"host", r.server.host}}, get...)
	}
	return object{{"httpGet", get}, {"periodSeconds", period}, {"timeoutSeconds", 5}, {"failureThreshold", 3}}
}

func (r *renderer) disruptionBudget() object {
	return object{
		{"apiVersion", "policy/v1"}, {"kind", "PodDisruptionBudget"}, {"metadata", r.metadata(r.o.Name, component)},
		{"spec", object{
			{"maxUnavailable", 1},
			{"unhealthyPodEvictionPolicy", because{"One that cannot work holds up no drain.", "AlwaysAllow"}},
			{"selector", r.selector()},
		}},
	}
}

func (r *renderer) service() object {
	return object{
		{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", r.metadata(r.o.Name, component)},
		{"spec", object{
			{"clusterIP", because{"Each instance has metrics of its own.", "None"}},
			{"selector", r.labels(component)},
			{"ports", []object{{{"name", "https"}, {"port", r.server.port}, {"targetPort", r.server.port}}}},
		}},
	}
}

// serviceMonitor is of monitoring.coreos.com, which the Prometheus operator brings.
func (r *renderer) serviceMonitor() object {
	target := object{{"port", "https"}, {"scheme", "https"}}
	if name, key, ok := r.serverSecret(r.config.Server.CertFile); ok {
		target = append(target, field{"tlsConfig", object{
			{"ca", object{{"secret", object{{"name", name}, {"key", key}}}}},
			{"serverName", r.o.Name + "." + r.o.Namespace + ".svc"},
		}})
	} else {
		target = append(target, field{"tlsConfig", object{
			{"insecureSkipVerify", because{"No Secret has the daemon's certificate, by which it could be verified.", true}},
		}})
	}
	if name, key, ok := r.serverSecret(r.config.Server.TokenFile); ok {
		target = append(target, field{"authorization", object{{"credentials", object{{"name", name}, {"key", key}}}}})
	}
	return object{
		{"apiVersion", "monitoring.coreos.com/v1"}, {"kind", "ServiceMonitor"}, {"metadata", r.metadata(r.o.Name, component)},
		{"spec", object{{"selector", r.selector()}, {"endpoints", []object{target}}}},
	}
}

func (r *renderer) serverSecret(file string) (name, key string, ok bool) {
	if file == "" {
		return "", "", false
	}
	return keyOfSecret(inPod(r.config, r.text, file))
}
