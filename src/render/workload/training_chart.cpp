#include "render/workload/training_chart.hpp"

namespace tg::render {

namespace {

constexpr const char* kHelpers = R"({{- define "run.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* A Job cannot be changed: what changes its pods gives it a new name, and helm removes the old one. */}}
{{- define "run.job" -}}
{{ include "run.name" . | trunc 40 | trimSuffix "-" }}-{{ .Values | toJson | sha256sum | trunc 8 }}
{{- end }}

{{- define "run.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "run.labels" -}}
{{ include "run.selector" . }}
app.kubernetes.io/version: {{ required "image.tag must name a version" .Values.image.tag | quote }}
app.kubernetes.io/component: training
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Argument: root, tag. */}}
{{- define "run.image" -}}
{{- $tag := required "image.tag must name a version" (index . 1) -}}
{{- if eq $tag "latest" }}{{ fail "image.tag latest is no version" }}{{ end -}}
{{ (index . 0).Values.image.repository }}:{{ $tag }}
{{- end }}

{{- /* The pod of every kind of run. Argument: root, restart policy, tag. */}}
{{- define "run.pod" -}}
{{- $root := index . 0 -}}
{{- $restart := index . 1 -}}
{{- $tag := index . 2 -}}
{{- with $root -}}
serviceAccountName: {{ include "run.name" . }}
automountServiceAccountToken: false
{{- with $restart }}
restartPolicy: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
containers:
  - name: train
    image: {{ include "run.image" (list . $tag) }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- with .Values.command }}
    command:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - name: http
        containerPort: {{ .Values.service.port }}
    env:
      - name: POD_NAME
        valueFrom:
          fieldRef:
            fieldPath: metadata.name
      {{- if ne .Values.kind "Deployment" }}
      - name: NNODES
        value: {{ .Values.nodes | quote }}
      - name: NODE_RANK
        valueFrom:
          fieldRef:
            fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
      {{- end }}
      {{- if eq .Values.kind "JobSet" }}
      - name: MASTER_ADDR
        value: {{ include "run.job" . }}-node-0-0.{{ include "run.job" . }}
      - name: MASTER_PORT
        value: "29500"
      {{- end }}
      {{- range $name, $value := .Values.env }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    {{- if eq .Values.kind "Deployment" }}
    startupProbe:
      tcpSocket:
        port: http
      periodSeconds: 10
      failureThreshold: 60
    readinessProbe:
      tcpSocket:
        port: http
      periodSeconds: 10
    livenessProbe:
      tcpSocket:
        port: http
      periodSeconds: 20
      failureThreshold: 6
    {{- end }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      - name: shared-memory
        mountPath: /dev/shm
      {{- if .Values.persistence.enabled }}
      {{- range $name, $volume := .Values.persistence.volumes }}
      - name: {{ $name }}
        mountPath: {{ $volume.mountPath }}
      {{- end }}
      {{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ .Values.scratch.tmp }}
  - name: shared-memory
    emptyDir:
      medium: Memory
      sizeLimit: {{ .Values.scratch.sharedMemory }}
  {{- if .Values.persistence.enabled }}
  {{- range $name, $volume := .Values.persistence.volumes }}
  - name: {{ $name }}
    {{- if $root.Values.persistence.perReplica }}
    ephemeral:
      volumeClaimTemplate:
        metadata:
          annotations:
            {{- include "run.volumeType" (list $root $volume) | nindent 12 }}
        spec:
          {{- include "run.claim" (list $root $volume) | nindent 10 }}
    {{- else }}
    persistentVolumeClaim:
      claimName: {{ include "run.name" $root }}-{{ $name }}
    {{- end }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* What a claim asks for; a volume's own words go before those of all. Argument: root, volume. */}}
{{- define "run.claim" -}}
{{- $root := index . 0 -}}
{{- $volume := index . 1 -}}
{{- with $volume.storageClass | default $root.Values.persistence.storageClass -}}
storageClassName: {{ . }}
{{ end -}}
accessModes:
  - {{ $volume.accessMode | default $root.Values.persistence.accessMode }}
resources:
  requests:
    storage: {{ $volume.size | default $root.Values.persistence.size }}
{{- end }}

{{- define "run.volumeType" -}}
{{- $root := index . 0 -}}
{{- $volume := index . 1 -}}
{{- with $volume.volumeType | default $root.Values.persistence.volumeType -}}
everest.io/disk-volume-type: {{ . }}
{{- else -}}
{}
{{- end }}
{{- end }}

{{- /* A claim that one node holds at a time cannot go over to a second pod while the first lives. */}}
{{- define "run.held" -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.perReplica) (ne .Values.persistence.accessMode "ReadWriteMany") }}held{{ end -}}
{{- end }}

{{- /* One version of a Deployment. Argument: root, track, tag, replicas; replicas below 0: an autoscaler has them. */}}
{{- define "run.deployment" -}}
{{- $track := index . 1 -}}
{{- $tag := index . 2 -}}
{{- $replicas := index . 3 -}}
{{- with index . 0 -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "run.name" . }}{{ if eq $track "next" }}-next{{ end }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
spec:
  {{- if ge (int $replicas) 0 }}
  replicas: {{ $replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    {{- if include "run.held" . }}
    type: Recreate
    {{- else }}
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
    {{- end }}
  selector:
    matchLabels:
      {{- include "run.selector" . | nindent 6 }}
      tidegate.dev/track: {{ $track }}
  template:
    metadata:
      labels:
        {{- include "run.labels" . | nindent 8 }}
        tidegate.dev/track: {{ $track }}
    spec:
      {{- include "run.pod" (list . "" $tag) | nindent 6 }}
{{- end }}
{{- end }}
)";

constexpr const char* kWorkload = R"({{- if eq .Values.kind "Deployment" }}
{{- $replicas := .Values.replicaCount }}
{{- if .Values.autoscaling.enabled }}{{ $replicas = -1 }}{{ end }}
{{- include "run.deployment" (list . "stable" .Values.image.tag $replicas) }}
{{- if .Values.next.tag }}
{{- if eq .Values.strategy "rolling" }}{{ fail "next.tag needs strategy: canary or blue-green" }}{{ end }}
{{- if include "run.held" . }}{{ fail "next.tag: a volume that one node holds at a time has no room for a second version" }}{{ end }}
---
{{ include "run.deployment" (list . "next" .Values.next.tag .Values.next.replicas) }}
{{- end }}
{{- else if eq .Values.kind "JobSet" }}
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: {{ include "run.job" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
    {{- with .Values.queue }}
    kueue.x-k8s.io/queue-name: {{ . }}
    {{- end }}
spec:
  failurePolicy:
    maxRestarts: {{ .Values.restart.attempts }}
  network:
    enableDNSHostnames: true
    subdomain: {{ include "run.job" . }}
  replicatedJobs:
    - name: node
      replicas: 1
      template:
        metadata:
          labels:
            {{- include "run.labels" . | nindent 12 }}
        spec:
          completionMode: Indexed
          completions: {{ .Values.nodes }}
          parallelism: {{ .Values.nodes }}
          backoffLimit: 0
          template:
            metadata:
              labels:
                {{- include "run.labels" . | nindent 16 }}
            spec:
              {{- include "run.pod" (list . "Never" .Values.image.tag) | nindent 14 }}
{{- else if eq .Values.kind "Job" }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "run.job" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
    {{- with .Values.queue }}
    kueue.x-k8s.io/queue-name: {{ . }}
    {{- end }}
spec:
  completionMode: Indexed
  completions: 1
  parallelism: 1
  backoffLimit: {{ .Values.restart.attempts }}
  podFailurePolicy:
    rules:
      # A node that is taken back is no fault of the program.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    metadata:
      labels:
        {{- include "run.labels" . | nindent 8 }}
    spec:
      {{- include "run.pod" (list . "Never" .Values.image.tag) | nindent 6 }}
{{- else }}
{{- fail "kind is Job, JobSet or Deployment" }}
{{- end }}
)";

constexpr const char* kService = R"(apiVersion: v1
kind: Service
metadata:
  name: {{ include "run.name" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
spec:
  type: {{ .Values.service.type }}
  selector:
    {{- include "run.selector" . | nindent 4 }}
    {{- if and (eq .Values.kind "Deployment") (eq .Values.strategy "blue-green") }}
    tidegate.dev/track: {{ if .Values.next.active }}next{{ else }}stable{{ end }}
    {{- end }}
  ports:
    - name: http
      port: {{ .Values.service.port }}
      targetPort: http
)";

constexpr const char* kServiceAccount = R"(apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "run.name" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
automountServiceAccountToken: false
)";

constexpr const char* kVolumes =
    R"({{- if and .Values.persistence.enabled (not .Values.persistence.perReplica) }}
{{- range $name, $volume := .Values.persistence.volumes }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "run.name" $ }}-{{ $name }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "run.labels" $ | nindent 4 }}
  annotations:
    # What was learned outlives the run.
    helm.sh/resource-policy: keep
    {{- with $volume.volumeType | default $.Values.persistence.volumeType }}
    everest.io/disk-volume-type: {{ . }}
    {{- end }}
spec:
  {{- include "run.claim" (list $ $volume) | nindent 2 }}
{{- end }}
{{- end }}
)";

constexpr const char* kIngress = R"({{- if .Values.ingress.enabled }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "run.name" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
  {{- with .Values.ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  ingressClassName: {{ .Values.ingress.className }}
  {{- if and .Values.ingress.tlsSecretName .Values.ingress.host }}
  tls:
    - hosts:
        - {{ .Values.ingress.host }}
      secretName: {{ .Values.ingress.tlsSecretName }}
  {{- end }}
  rules:
    - {{- with .Values.ingress.host }}
      host: {{ . }}
      {{- end }}
      http:
        paths:
          - path: {{ .Values.ingress.path }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "run.name" . }}
                port:
                  name: http
{{- end }}
)";

constexpr const char* kAutoscaling = R"({{- if .Values.autoscaling.enabled }}
{{- if ne .Values.kind "Deployment" }}
{{- fail "autoscaling needs kind: Deployment" }}
{{- end }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "run.name" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "run.name" . }}
  minReplicas: {{ .Values.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .Values.autoscaling.targetCPUUtilizationPercentage }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "run.name" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "run.selector" . | nindent 6 }}
{{- end }}
)";

constexpr const char* kMonitor = R"({{- if .Values.metrics.enabled }}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "run.name" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "run.labels" . | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "run.selector" . | nindent 6 }}
  endpoints:
    - port: http
      path: {{ .Values.metrics.path }}
      interval: 30s
{{- end }}
)";

constexpr const char* kNotes = R"({{ .Values.kind }} {{ include "run.name" . }} in {{ .Release.Namespace }}:

  kubectl -n {{ .Release.Namespace }} get pods -l app.kubernetes.io/instance={{ .Release.Name }}
  kubectl -n {{ .Release.Namespace }} logs -l app.kubernetes.io/instance={{ .Release.Name }} -f
)";

constexpr const char* kSchema = R"({
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "required": ["kind", "image", "resources", "service", "persistence", "autoscaling", "ingress"],
  "properties": {
    "kind": {"enum": ["Job", "JobSet", "Deployment"]},
    "replicaCount": {"type": "integer", "minimum": 0},
    "nodes": {"type": "integer", "minimum": 1},
    "strategy": {"enum": ["rolling", "canary", "blue-green"]},
    "next": {
      "type": "object",
      "properties": {
        "tag": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 1},
        "active": {"type": "boolean"}
      }
    },
    "image": {
      "type": "object",
      "required": ["repository", "pullPolicy"],
      "properties": {
        "repository": {"type": "string", "minLength": 1},
        "tag": {"type": "string"},
        "pullPolicy": {"enum": ["IfNotPresent", "Always", "Never"]}
      }
    },
    "service": {
      "type": "object",
      "properties": {
        "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535}
      }
    },
    "tolerations": {"type": "array", "items": {"type": "object"}},
    "ingress": {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
    "persistence": {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
    "autoscaling": {
      "type": "object",
      "properties": {
        "enabled": {"type": "boolean"},
        "minReplicas": {"type": "integer", "minimum": 1},
        "maxReplicas": {"type": "integer", "minimum": 1}
      }
    }
  }
}
)";

}  // namespace

std::vector<Extra> training_templates() {
  return {{".helmignore", "*.tgz\n.git/\n"},
          {"values.schema.json", kSchema},
          {"templates/_helpers.tpl", kHelpers},
          {"templates/workload.yaml", kWorkload},
          {"templates/service.yaml", kService},
          {"templates/serviceaccount.yaml", kServiceAccount},
          {"templates/volumes.yaml", kVolumes},
          {"templates/ingress.yaml", kIngress},
          {"templates/autoscaling.yaml", kAutoscaling},
          {"templates/monitor.yaml", kMonitor},
          {"templates/NOTES.txt", kNotes}};
}

}  // namespace tg::render
