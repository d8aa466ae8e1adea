package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// LimitRanges limit what a single object of a namespace may use, and say what it gets by default.
var LimitRanges = registry.Resource[corev1.LimitRange]{
	Kind: "LimitRange", Name: "limitranges", Short: []string{"limits"},
	Namespaced: true,
	Versions:   []registry.Version[corev1.LimitRange]{registry.Hub[corev1.LimitRange]("v1")},
	Default:    defaultLimitRange,
	PrepareCreate: func(r *corev1.LimitRange) {
		if r.Name == "" {
			r.Name = uuid.NewString()
		}
	},
	Validate:       validateLimitRange,
	Columns:        []registry.Column[corev1.LimitRange]{registry.CreatedAt[corev1.LimitRange]()},
	CreateOnUpdate: true,
}

// defaultLimitRange derives the defaults of containers: the limit from the maximum, the request from the
// limit, else from the minimum.
func defaultLimitRange(r *corev1.LimitRange) {
	for i := range r.Spec.Limits {
		l := &r.Spec.Limits[i]
		for _, list := range []corev1.ResourceList{l.Max, l.Min, l.Default, l.DefaultRequest, l.MaxLimitRequestRatio} {
			roundUpToMilli(list)
		}
		if l.Type != corev1.LimitTypeContainer {
			continue
		}
		l.Default = filledFrom(l.Default, l.Max)
		l.DefaultRequest = filledFrom(filledFrom(l.DefaultRequest, l.Default), l.Min)
	}
}

// filledFrom adds to a list what it lacks of another. The result is never nil.
func filledFrom(list, other corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	for name, q := range other {
		if _, ok := list[name]; !ok {
			list[name] = q.DeepCopy()
		}
	}
	return list
}

func validateLimitRange(r *corev1.LimitRange) field.ErrorList {
	var errs podErrors
	for i := range r.Spec.Limits {
		l, path := &r.Spec.Limits[i], field.NewPath("spec", "limits").Index(i)
		checkLimitType(&errs, l.Type, path.Child("type"))
		same := func(o corev1.LimitRangeItem) bool { return o.Type == l.Type }
		if slices.ContainsFunc(r.Spec.Limits[:i], same) {
			errs.duplicate(path.Child("type"), l.Type)
		}
		checkLimitNames(&errs, l, path)
		checkLimitValues(&errs, l, path)
	}
	return errs.list
}

func checkLimitType(errs *podErrors, t corev1.LimitType, path *field.Path) {
	if msgs := validation.IsQualifiedName(string(t)); len(msgs) > 0 {
		errs.invalid(path, t, msgs...)
		return
	}
	own := []corev1.LimitType{corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim}
	if !strings.Contains(string(t), "/") && !slices.Contains(own, t) {
		errs.invalid(path, t, "must be a standard limit type or fully qualified")
	}
}

func checkLimitNames(errs *podErrors, l *corev1.LimitRangeItem, path *field.Path) {
	check := func(list corev1.ResourceList, child string) {
		for _, name := range sortedResources(list) {
			path := path.Child(child).Key(string(name))
			if l.Type == corev1.LimitTypePod || l.Type == corev1.LimitTypeContainer {
				containerResourceName(errs, name, path)
			} else {
				computeResourceName(errs, name, path)
			}
		}
	}
	check(l.Max, "max")
	check(l.Min, "min")
	if l.Type == corev1.LimitTypePod {
		if len(l.Default) > 0 {
			errs.forbid(path.Child("default"), "may not be specified when `type` is 'Pod'")
		}
		if len(l.DefaultRequest) > 0 {
			errs.forbid(path.Child("defaultRequest"), "may not be specified when `type` is 'Pod'")
		}
	} else {
		check(l.Default, "default")
		check(l.DefaultRequest, "defaultRequest")
	}
	if l.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := l.Min[corev1.ResourceStorage]
		_, most := l.Max[corev1.ResourceStorage]
		if !least && !most {
			errs.required(path.Child("limits"), "either minimum or maximum storage value is required, but neither was provided")
		}
	}
	check(l.MaxLimitRequestRatio, "maxLimitRequestRatio")
}

// checkLimitValues compares the values of each resource, which must be in order: min, defaultRequest,
// default, max.
func checkLimitValues(errs *podErrors, l *corev1.LimitRangeItem, path *field.Path) {
	all := corev1.ResourceList{}
	lists := []corev1.ResourceList{l.Max, l.Min, l.MaxLimitRequestRatio}
	defaults, requests := l.Default, l.DefaultRequest
	if l.Type == corev1.LimitTypePod {
		defaults, requests = nil, nil
	}
	for _, list := range append(lists, defaults, requests) {
		maps.Copy(all, list)
	}
	for _, name := range sortedResources(all) {
		least, most, limit, request := valueOf(l.Min, name), valueOf(l.Max, name), valueOf(defaults, name), valueOf(requests, name)
		above := func(a, b *resource.Quantity, child, format string) {
			if a != nil && b != nil && a.Cmp(*b) > 0 {
				bad := a
				if child == "defaultRequest" {
					bad = request
				}
				errs.invalid(path.Child(child).Key(string(name)), *bad, fmt.Sprintf(format, a.String(), b.String()))
			}
		}
		above(least, most, "min", "min value %s is greater than max value %s")
		above(least, request, "defaultRequest", "min value %s is greater than default request value %s")
		above(request, most, "defaultRequest", "default request value %s is greater than max value %s")
		above(request, limit, "defaultRequest", "default request value %s is greater than default limit value %s")
		above(least, limit, "default", "min value %s is greater than default value %s")
		above(limit, most, "default", "default value %s is greater than max value %s")
		checkLimitRatio(errs, valueOf(l.MaxLimitRequestRatio, name), least, most, path.Child("maxLimitRequestRatio").Key(string(name)))
		if !overcommitAllowed(name) && limit != nil && request != nil && limit.Cmp(*request) != 0 {
			errs.invalid(path.Child("defaultRequest").Key(string(name)), *request,
				fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit.String(), request.String(), name))
		}
	}
}

func valueOf(list corev1.ResourceList, name corev1.ResourceName) *resource.Quantity {
	if q, ok := list[name]; ok {
		return &q
	}
	return nil
}

func checkLimitRatio(errs *podErrors, ratio, least, most *resource.Quantity, path *field.Path) {
	if ratio == nil {
		return
	}
	if ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		errs.invalid(path, *ratio, fmt.Sprintf("ratio %s is less than 1", ratio.String()))
	}
	if least == nil || most == nil {
		return
	}
	value, low, high := float64(ratio.Value()), least.Value(), most.Value()
	if ratio.Value() < resource.MaxMilliValue && low < resource.MaxMilliValue && high < resource.MaxMilliValue {
		value, low, high = float64(ratio.MilliValue())/1000, least.MilliValue(), most.MilliValue()
	}
	if limit := float64(high) / float64(low); value > limit {
		errs.invalid(path, *ratio, fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), limit))
	}
}
