package shape

import (
	"reflect"
	"strings"
)

// What Go tags do not say. A type is "group.Type" in every version of its group, or "group/version.Type" in
// one; a field adds ".field". The group is the folder in k8s.io/api.

// atomicStructs have one owner as a whole.
var atomicStructs = words(`
	meta.LabelSelector meta.OwnerReference
	core.ConfigMapKeySelector core.EndpointAddress core.EndpointPort core.FileKeySelector
	core.LocalObjectReference core.NodeSelector core.NodeSelectorTerm core.ObjectFieldSelector
	core.ObjectReference core.ResourceFieldSelector core.ScopeSelector core.SecretKeySelector
	core.SecretReference core.TopologySelectorTerm core.TypedLocalObjectReference
	admissionregistration.MatchResources admissionregistration.NamedRuleWithOperations
	admissionregistration.ParamKind admissionregistration.ParamRef
	admissionregistration/v1.Variable admissionregistration/v1beta1.Variable
	autoscaling/v1.CrossVersionObjectReference
	discovery/v1.EndpointPort
	networking/v1.ServiceBackendPort
	rbac/v1.RoleRef rbac/v1.Subject
`)

type share struct {
	merge Merge
	keys  []string
}

var set = share{merge: Set}

func keyed(keys ...string) share { return share{merge: Keyed, keys: keys} }

// sharing of fields whose patch tags say nothing, or something else.
var sharing = map[string]share{
	"admissionregistration.ValidatingAdmissionPolicyBindingSpec.validationActions": set,
	"admissionregistration.ValidatingAdmissionPolicyStatus.conditions":             keyed("type"),
	"apiserverinternal.ServerStorageVersion.decodableVersions":                     set,
	"apiserverinternal.ServerStorageVersion.servedVersions":                        set,
	"apiserverinternal.StorageVersionStatus.conditions":                            keyed("type"),
	"apiserverinternal.StorageVersionStatus.storageVersions":                       keyed("apiServerID"),
	"batch.JobStatus.conditions":                                                   {merge: Atomic},
	"batch.PodFailurePolicyOnExitCodesRequirement.values":                          set,
	"batch.UncountedTerminatedPods.failed":                                         set,
	"batch.UncountedTerminatedPods.succeeded":                                      set,
	"certificates.CertificateSigningRequestStatus.conditions":                      keyed("type"),
	"core.Container.ports":                                                         keyed("containerPort", "protocol"),
	"core.ContainerRestartRuleOnExitCodes.values":                                  set,
	"core.EphemeralContainerCommon.ports":                                          keyed("containerPort", "protocol"),
	"core.NodeAllocatableResourceClaimStatus.containers":                           set,
	"core.PersistentVolumeSpec.claimRef":                                           {merge: Granular},
	"core.PodSpec.nodeSelector":                                                    {merge: Atomic},
	"core.PodSpec.topologySpreadConstraints":                                       keyed("topologyKey", "whenUnsatisfiable"),
	"core.PodStatus.hostIPs":                                                       {merge: Atomic},
	"core.ReplicationControllerSpec.selector":                                      {merge: Atomic},
	"core.ResourceRequirements.claims":                                             keyed("name"),
	"core.ResourceStatus.resources":                                                keyed("resourceID"),
	"core.ServiceSpec.ports":                                                       keyed("port", "protocol"),
	"core.ServiceSpec.selector":                                                    {merge: Atomic},
	"discovery.Endpoint.addresses":                                                 set,
	"flowcontrol.FlowSchemaStatus.conditions":                                      keyed("type"),
	"flowcontrol.NonResourcePolicyRule.nonResourceURLs":                            set,
	"flowcontrol.NonResourcePolicyRule.verbs":                                      set,
	"flowcontrol.PriorityLevelConfigurationStatus.conditions":                      keyed("type"),
	"flowcontrol.ResourcePolicyRule.apiGroups":                                     set,
	"flowcontrol.ResourcePolicyRule.namespaces":                                    set,
	"flowcontrol.ResourcePolicyRule.resources":                                     set,
	"flowcontrol.ResourcePolicyRule.verbs":                                         set,
	"node.Scheduling.nodeSelector":                                                 {merge: Atomic},
	"resource.AllocatedDeviceStatus.conditions":                                    keyed("type"),
	"resource.ResourceClaimStatus.devices":                                         keyed("driver", "device", "pool", "shareID"),
	"scheduling.WorkloadSpec.podGroupTemplates":                                    keyed("name"),
	"storage/v1.CSIDriverSpec.volumeLifecycleModes":                                set,
}

// defaults of fields whose schema says more than the zero value of a required field.
var defaults = map[string]any{
	"autoscaling.ScaleSpec.replicas":                              0,
	"certificates.PodCertificateRequestSpec.maxExpirationSeconds": 86400,
	"core.AzureDiskVolumeSource.cachingMode":                      "ReadWrite",
	"core.AzureDiskVolumeSource.fsType":                           "ext4",
	"core.AzureDiskVolumeSource.kind":                             "Shared",
	"core.AzureDiskVolumeSource.readOnly":                         false,
	"core.ConfigMapEnvSource.name":                                "",
	"core.ConfigMapKeySelector.name":                              "",
	"core.ConfigMapProjection.name":                               "",
	"core.ConfigMapVolumeSource.name":                             "",
	"core.ContainerPort.protocol":                                 "TCP",
	"core.FileKeySelector.optional":                               false,
	"core.GRPCAction.service":                                     "",
	"core.ISCSIPersistentVolumeSource.iscsiInterface":             "default",
	"core.ISCSIVolumeSource.iscsiInterface":                       "default",
	"core.LocalObjectReference.name":                              "",
	"core.RBDPersistentVolumeSource.keyring":                      "/etc/ceph/keyring",
	"core.RBDPersistentVolumeSource.pool":                         "rbd",
	"core.RBDPersistentVolumeSource.user":                         "admin",
	"core.RBDVolumeSource.keyring":                                "/etc/ceph/keyring",
	"core.RBDVolumeSource.pool":                                   "rbd",
	"core.RBDVolumeSource.user":                                   "admin",
	"core.ReplicationControllerSpec.minReadySeconds":              0,
	"core.ReplicationControllerSpec.replicas":                     1,
	"core.ScaleIOPersistentVolumeSource.fsType":                   "xfs",
	"core.ScaleIOPersistentVolumeSource.storageMode":              "ThinProvisioned",
	"core.ScaleIOVolumeSource.fsType":                             "xfs",
	"core.ScaleIOVolumeSource.storageMode":                        "ThinProvisioned",
	"core.SecretEnvSource.name":                                   "",
	"core.SecretKeySelector.name":                                 "",
	"core.SecretProjection.name":                                  "",
	"core.ServicePort.protocol":                                   "TCP",
	"resource.DeviceToleration.operator":                          "Equal",
	"resource.ResourcePoolStatusRequestSpec.limit":                100,
	"scheduling.PodGroupSpec.disruptionMode":                      "Pod",
}

// required fields that JSON leaves out when they are empty.
var required = words(`
	admissionregistration.ValidatingAdmissionPolicyBinding.spec
	admissionregistration.ValidatingAdmissionPolicyBindingSpec.policyName
	admissionregistration.ValidatingAdmissionPolicyBindingSpec.validationActions
	apiserverinternal.ServerStorageVersion.apiServerID apiserverinternal.ServerStorageVersion.decodableVersions
	apiserverinternal.ServerStorageVersion.encodingVersion apiserverinternal.StorageVersion.metadata
	apiserverinternal.StorageVersionCondition.message authentication.TokenReviewSpec.token
	autoscaling.HorizontalPodAutoscaler.spec batch.CronJob.spec coordination.LeaseCandidate.spec
	coordination.LeaseCandidateSpec.strategy core.ContainerRestartRule.action
	core.ContainerRestartRuleOnExitCodes.operator core.ImageVolumeStatus.imageRef
	core.PodCertificateProjection.keyType core.PodCertificateProjection.signerName networking.IPAddress.spec
	networking.IPAddressSpec.parentRef networking.ParentReference.name networking.ParentReference.resource
	resource.CapacityRequestPolicyRange.min resource.CounterSet.counters resource.DeviceCounterConsumption.counters
	resource.DeviceTaintRuleSpec.taint resource.PoolStatus.driver resource.PoolStatus.poolName
	resource.ResourcePoolStatusRequest.metadata resource.ResourcePoolStatusRequestStatus.poolCount
`)

// optional fields that JSON writes even when they are empty.
var optional = words(`
	apiserverinternal.StorageVersion.spec apiserverinternal.StorageVersion.status apps.StatefulSetOrdinals.start
	apps.StatefulSetSpec.serviceName apps.StatefulSetStatus.availableReplicas authentication.TokenRequest.spec
	authentication.TokenRequestSpec.audiences authentication.TokenRequestSpec.boundObjectRef
	authentication.TokenRequestSpec.expirationSeconds authentication.TokenRequestStatus.expirationTimestamp
	authentication.TokenRequestStatus.token
	autoscaling.HorizontalPodAutoscalerStatus.currentMetrics
	batch.PodFailurePolicyOnPodConditionsPattern.status certificates.PodCertificateRequestSpec.pkixPublicKey
	certificates.PodCertificateRequestSpec.proofOfPossession core.AzureFilePersistentVolumeSource.secretNamespace
	core.ContainerImage.names core.Event.reportingComponent core.Event.reportingInstance core.GRPCAction.service
	core.NodeRuntimeHandler.name core.ProjectedVolumeSource.sources core.TypedLocalObjectReference.apiGroup
	core.TypedObjectReference.apiGroup discovery.EndpointSlice.endpoints discovery.EndpointSlice.ports
	events.Event.metadata flowcontrol.FlowSchemaSpec.matchingPrecedence
	flowcontrol.LimitedPriorityLevelConfiguration.nominalConcurrencyShares
	flowcontrol.QueuingConfiguration.handSize flowcontrol.QueuingConfiguration.queueLengthLimit
	flowcontrol.QueuingConfiguration.queues flowcontrol.ResourcePolicyRule.namespaces
	networking.IngressClassParametersReference.scope networking.NetworkPolicySpec.podSelector
	policy.PodDisruptionBudgetStatus.currentHealthy policy.PodDisruptionBudgetStatus.desiredHealthy
	policy.PodDisruptionBudgetStatus.disruptionsAllowed policy.PodDisruptionBudgetStatus.expectedPods
	rbac.ClusterRole.rules rbac.Role.rules rbac.RoleRef.apiGroup resource.AllocatedDeviceStatus.conditions
	resource.CapacityRequestPolicy.default resource.DeviceClaim.requests resource.DeviceRequest.deviceClassName
	resource.ResourceClaimSpec.devices scheduling.PodGroupSpec.podGroupTemplateRef
	scheduling.PodGroupTemplate.schedulingConstraints scheduling.PodGroupTemplateReference.workload
	scheduling.PriorityClass.value storage.CSINodeDriver.topologyKeys
`)

// fieldKey names a field in the tables.
func fieldKey(owner reflect.Type, field string) string {
	general, _ := typeKeys(owner)
	return general + "." + field
}

// sharingOf finds what the table says of a field.
func sharingOf(owner reflect.Type, field string) (share, bool) {
	general, versioned := typeKeys(owner)
	said, ok := sharing[versioned+"."+field]
	if !ok {
		said, ok = sharing[general+"."+field]
	}
	return said, ok
}

func isAtomicStruct(t reflect.Type) bool {
	general, versioned := typeKeys(t)
	return atomicStructs[general] || atomicStructs[versioned]
}

func isRequired(key string, f *Field) bool {
	if f.OmitEmpty || f.OmitZero {
		return required[key]
	}
	return !optional[key]
}

// defaultOf is the table's, or the zero value: of a struct always, of a scalar if JSON always has it.
func defaultOf(key string, f *Field) any {
	if said, ok := defaults[key]; ok {
		return said
	}
	if f.Value.Pointer {
		return nil
	}
	if f.Value.Kind == Struct {
		return map[string]any{}
	}
	if f.OmitEmpty || f.OmitZero {
		return nil
	}
	switch f.Value.Kind {
	case String:
		return ""
	case Integer:
		return 0
	case Boolean:
		return false
	}
	return nil
}

// typeKeys of k8s.io/api/core/v1.Pod are "core.Pod" and "core/v1.Pod".
func typeKeys(t reflect.Type) (general, versioned string) {
	parts := strings.Split(t.PkgPath(), "/")
	if len(parts) < 2 {
		return t.Name(), t.Name()
	}
	group, version := parts[len(parts)-2], parts[len(parts)-1]
	return group + "." + t.Name(), group + "/" + version + "." + t.Name()
}

func words(s string) map[string]bool {
	found := map[string]bool{}
	for _, w := range strings.Fields(s) {
		found[w] = true
	}
	return found
}
