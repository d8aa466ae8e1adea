package daemonset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
)

const hashLabel = appsv1.ControllerRevisionHashLabelKey

// history is the revisions of a DaemonSet: the one of the present template, and the others, oldest first.
type history struct {
	current *appsv1.ControllerRevision
	old     []*appsv1.ControllerRevision
}

// history sees that there is one revision of the present template, and that it is the newest.
func (l *loop) history(ctx context.Context, ds *appsv1.DaemonSet, mine []*corev1.Pod) (*history, error) {
	data, err := snapshotOf(ds)
	if err != nil {
		return nil, err
	}
	claim := owned.Claim[appsv1.ControllerRevision, appsv1.DaemonSet]{
		Client: l.client, Kind: client.ControllerRevisions, Owner: ds, Owners: client.DaemonSets,
		Match: func(r *appsv1.ControllerRevision) bool { return owned.Selects(ds.Spec.Selector, r.Labels) },
	}
	all, err := claim.Of(ctx, append(owned.By(l.revisions, ds.UID), owned.Orphans(l.revisions, ds.Namespace)...))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *appsv1.ControllerRevision) int { return cmp.Compare(a.Revision, b.Revision) })
	h := &history{}
	var same []*appsv1.ControllerRevision
	for _, r := range all {
		if bytes.Equal(r.Data.Raw, data) {
			same = append(same, r)
		} else {
			h.old = append(h.old, r)
		}
	}
	next := int64(1)
	if len(h.old) > 0 {
		next = h.old[len(h.old)-1].Revision + 1
	}
	if len(same) == 0 {
		h.current, err = l.snapshot(ctx, ds, data, next)
		return h, err
	}
	h.current, err = l.merge(ctx, same, mine)
	if err == nil && h.current.Revision < next {
		draft := *h.current
		draft.Revision = next
		h.current, err = client.ControllerRevisions.Update(ctx, l.client, &draft)
	}
	return h, err
}

// snapshotOf is the patch that brings a DaemonSet back to its present template.
func snapshotOf(ds *appsv1.DaemonSet) ([]byte, error) {
	data, err := json.Marshal(ds.Spec.Template)
	if err != nil {
		return nil, fmt.Errorf("encode template: %w", err)
	}
	var template map[string]any
	if err := json.Unmarshal(data, &template); err != nil {
		return nil, fmt.Errorf("decode template: %w", err)
	}
	template["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
}

// snapshot creates a revision. If its name is taken by another, the DaemonSet counts a collision.
func (l *loop) snapshot(ctx context.Context, ds *appsv1.DaemonSet, data []byte, revision int64) (*appsv1.ControllerRevision, error) {
	hash := pods.Hash(&ds.Spec.Template, ds.Status.CollisionCount)
	labels := maps.Clone(ds.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[hashLabel] = hash
	r := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ds.Namespace, Name: ds.Name + "-" + hash, Labels: labels, Annotations: ds.Annotations,
			OwnerReferences: []metav1.OwnerReference{owned.RefTo(ds, client.DaemonSets)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: revision,
	}
	created, err := client.ControllerRevisions.Create(ctx, l.client, r)
	if !apierrors.IsAlreadyExists(err) {
		return created, err
	}
	there, getErr := client.ControllerRevisions.Get(ctx, l.client, r.Namespace, r.Name)
	if getErr != nil {
		return nil, getErr
	}
	if metav1.IsControlledBy(there, ds) && bytes.Equal(there.Data.Raw, data) {
		return there, nil
	}
	draft := *ds
	draft.Status.CollisionCount = ptr.To(ptr.Deref(ds.Status.CollisionCount, 0) + 1)
	if _, statusErr := client.DaemonSets.UpdateStatus(ctx, l.client, &draft); statusErr != nil {
		return nil, statusErr
	}
	return nil, err
}

// merge keeps the newest of several revisions of one template, and makes all pods its own.
func (l *loop) merge(ctx context.Context, same []*appsv1.ControllerRevision, mine []*corev1.Pod) (*appsv1.ControllerRevision, error) {
	keep := same[len(same)-1]
	for _, r := range same[:len(same)-1] {
		for _, p := range mine {
			if p.Labels[hashLabel] != r.Labels[hashLabel] {
				continue
			}
			patch := map[string]any{"metadata": map[string]any{"labels": map[string]any{hashLabel: keep.Labels[hashLabel]}}}
			if _, err := client.Pods.MergePatch(ctx, l.client, p.Namespace, p.Name, patch, ""); err != nil {
				return nil, err
			}
		}
		if err := l.drop(ctx, r); err != nil {
			return nil, err
		}
	}
	return keep, nil
}

// cleanUp deletes old revisions beyond the limit that no pod is of.
func (l *loop) cleanUp(ctx context.Context, ds *appsv1.DaemonSet, h *history, mine []*corev1.Pod) error {
	excess := len(h.old) - int(ptr.Deref(ds.Spec.RevisionHistoryLimit, 10))
	live := map[string]bool{}
	for _, p := range mine {
		live[p.Labels[hashLabel]] = true
	}
	for _, r := range h.old {
		if excess <= 0 {
			return nil
		}
		if live[r.Labels[hashLabel]] {
			continue
		}
		if err := l.drop(ctx, r); err != nil {
			return fmt.Errorf("failed to clean up revisions of DaemonSet: %w", err)
		}
		excess--
	}
	return nil
}

func (l *loop) drop(ctx context.Context, r *appsv1.ControllerRevision) error {
	err := client.ControllerRevisions.Delete(ctx, l.client, r.Namespace, r.Name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.UID}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
