{{/*
An account's rights on builders and what belongs to them: in the whole cluster by a ClusterRole, or in each of
watchNamespaces by a Role. Takes a list of the root, the component, which may be empty, what comes after
buildkit-operator in the account's name, and the rules.
*/}}
{{- define "buildkit-operator.rights" -}}
{{- $root := index . 0 -}}
{{- $suffix := index . 2 -}}
{{- $rules := index . 3 -}}
{{- $labels := include "buildkit-operator.labels" . -}}
{{- range $namespace := $root.Values.watchNamespaces | default (list "") }}
{{- $metadata := dict "name" (printf "%s%s" (include "buildkit-operator.clusterName" $root) $suffix) -}}
{{- $kind := "ClusterRole" -}}
{{- if $namespace }}
{{- $_ := set $metadata "namespace" $namespace -}}
{{- $kind = "Role" -}}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- toYaml $metadata | nindent 2 }}
  labels:
    {{- $labels | nindent 4 }}
rules:
{{- $rules | nindent 0 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- toYaml $metadata | nindent 2 }}
  labels:
    {{- $labels | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ $kind }}, name: {{ $metadata.name }}}
subjects:
- kind: ServiceAccount
  name: {{ include "buildkit-operator.fullname" $root }}{{ $suffix }}
  namespace: {{ $root.Release.Namespace | quote }}
{{- end }}
{{- end -}}
