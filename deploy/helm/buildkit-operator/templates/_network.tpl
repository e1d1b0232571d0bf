{{/*
NetworkPolicy of a component's pods. Takes a list of the root, the component, which may be empty, what comes after
buildkit-operator, and the names of the ports that everybody may reach.
*/}}
{{- define "buildkit-operator.networkPolicy" -}}
{{- $root := index . 0 -}}
{{- $suffix := index . 2 -}}
{{- $values := $root.Values.networkPolicies -}}
{{- if $values.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "buildkit-operator.fullname" $root }}{{ $suffix }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "buildkit-operator.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "buildkit-operator.selectorLabels" (list $root $suffix) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
  {{- range index . 3 }}
  - ports:
    - {protocol: TCP, port: {{ . }}}
  {{- end }}
  - ports:
    - {protocol: TCP, port: http}
    {{- with $values.metricsFrom }}
    from:
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
  {{- with $values.egress }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  # The API server, as clusters have it, and DNS. Without addresses: to some networks a node is in no range of any.
  - ports:
    - {protocol: TCP, port: 443}
    - {protocol: TCP, port: 6443}
    - {protocol: TCP, port: 8443}
    - {protocol: TCP, port: 16443}
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  # An API server on another port, or a proxy before it; no metadata service, from where nodes have their credentials.
  - to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [169.254.0.0/16, 168.63.129.16/32]
  {{- end }}
{{- end }}
{{- end -}}
