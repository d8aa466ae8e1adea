package openapi

import (
	v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
)

// protoV3 is the document as a message of OpenAPI 3.
func protoV3(d *Document) proto.Message {
	out := &v3.Document{
		Openapi: "3.0.0",
		Info:    &v3.Info{Title: title, Version: d.Version},
		Paths:   &v3.Paths{},
		Components: &v3.Components{
			Schemas: &v3.SchemasOrReferences{AdditionalProperties: make([]*v3.NamedSchemaOrReference, 0, len(d.Schemas))},
			SecuritySchemes: &v3.SecuritySchemesOrReferences{AdditionalProperties: []*v3.NamedSecuritySchemeOrReference{{
				Name: bearer.name,
				Value: &v3.SecuritySchemeOrReference{Oneof: &v3.SecuritySchemeOrReference_SecurityScheme{SecurityScheme: &v3.SecurityScheme{
					Type: bearer.kind, Description: bearer.description, Name: bearer.header, In: bearer.in,
				}}},
			}}},
		},
	}
	for _, s := range d.Schemas {
		out.Components.Schemas.AdditionalProperties = append(out.Components.Schemas.AdditionalProperties,
			&v3.NamedSchemaOrReference{Name: s.Name, Value: schemaV3(s.Schema)})
	}
	for i := range d.Paths {
		p := &d.Paths[i]
		out.Paths.Path = append(out.Paths.Path, &v3.NamedPathItem{Name: p.Path, Value: pathItemV3(p)})
	}
	return out
}

func pathItemV3(p *Path) *v3.PathItem {
	item := &v3.PathItem{Parameters: protoParametersV3(p.Parameters)}
	for i := range p.Operations {
		o := &p.Operations[i]
		switch o.Method {
		case "get":
			item.Get = protoOperationV3(o)
		case "put":
			item.Put = protoOperationV3(o)
		case "post":
			item.Post = protoOperationV3(o)
		case "delete":
			item.Delete = protoOperationV3(o)
		case "options":
			item.Options = protoOperationV3(o)
		case "head":
			item.Head = protoOperationV3(o)
		case "patch":
			item.Patch = protoOperationV3(o)
		}
	}
	return item
}

func protoOperationV3(o *Operation) *v3.Operation {
	out := &v3.Operation{
		Tags: []string{o.Tag}, Description: o.Description, OperationId: o.ID, Parameters: protoParametersV3(o.Parameters),
		Responses: &v3.Responses{}, SpecificationExtension: extensionsV3(o.extensions()),
	}
	if o.Body != nil {
		out.RequestBody = &v3.RequestBodyOrReference{Oneof: &v3.RequestBodyOrReference_RequestBody{
			RequestBody: &v3.RequestBody{Content: mediaV3(o.Body.Media, o.Body.Schema), Required: o.Body.Required},
		}}
	}
	for _, r := range o.Responses {
		out.Responses.ResponseOrReference = append(out.Responses.ResponseOrReference, &v3.NamedResponseOrReference{
			Name: r.Code,
			Value: &v3.ResponseOrReference{Oneof: &v3.ResponseOrReference_Response{
				Response: &v3.Response{Description: r.Description, Content: mediaV3(o.Produces, r.Schema)},
			}},
		})
	}
	return out
}

// mediaV3 says the same of all media types; the messages are shared.
func mediaV3(media []string, s *Schema) *v3.MediaTypes {
	if s == nil {
		return nil
	}
	types := &v3.MediaTypes{}
	one := &v3.MediaType{Schema: schemaV3(s)}
	for _, m := range media {
		types.AdditionalProperties = append(types.AdditionalProperties, &v3.NamedMediaType{Name: m, Value: one})
	}
	return types
}

func protoParametersV3(list []Parameter) []*v3.ParameterOrReference {
	var out []*v3.ParameterOrReference
	for _, p := range list {
		out = append(out, &v3.ParameterOrReference{Oneof: &v3.ParameterOrReference_Parameter{Parameter: &v3.Parameter{
			Name: p.Name, In: p.In, Description: p.Description, Required: p.Required, Schema: plainV3(&v3.Schema{Type: p.Type}),
		}}})
	}
	return out
}

func plainV3(s *v3.Schema) *v3.SchemaOrReference {
	return &v3.SchemaOrReference{Oneof: &v3.SchemaOrReference_Schema{Schema: s}}
}

func referenceV3(name string) *v3.SchemaOrReference {
	return &v3.SchemaOrReference{Oneof: &v3.SchemaOrReference_Reference{Reference: &v3.Reference{XRef: refV3 + name}}}
}

func schemaV3(s *Schema) *v3.SchemaOrReference {
	if s.Ref != "" && s.alone() {
		return referenceV3(s.Ref)
	}
	out := &v3.Schema{
		Type: s.Type, Format: s.Format, Description: s.Description, Required: s.Required,
		Default: defaultV3(s.Default), SpecificationExtension: extensionsV3(s.Extensions),
	}
	if s.Ref != "" {
		out.AllOf = []*v3.SchemaOrReference{referenceV3(s.Ref)}
	}
	for _, t := range s.OneOf {
		out.OneOf = append(out.OneOf, plainV3(&v3.Schema{Type: t}))
	}
	if s.Items != nil {
		out.Items = &v3.ItemsItem{SchemaOrReference: []*v3.SchemaOrReference{schemaV3(s.Items)}}
	}
	if s.Values != nil {
		out.AdditionalProperties = &v3.AdditionalPropertiesItem{Oneof: &v3.AdditionalPropertiesItem_SchemaOrReference{SchemaOrReference: schemaV3(s.Values)}}
	}
	if len(s.Properties) > 0 {
		out.Properties = &v3.Properties{AdditionalProperties: make([]*v3.NamedSchemaOrReference, len(s.Properties))}
	}
	for i, p := range s.Properties {
		out.Properties.AdditionalProperties[i] = &v3.NamedSchemaOrReference{Name: p.Name, Value: schemaV3(p.Schema)}
	}
	return plainV3(out)
}

// defaultV3 is a default; the message has no place for one that is not a scalar.
func defaultV3(v any) *v3.DefaultType {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return &v3.DefaultType{Oneof: &v3.DefaultType_String_{String_: v}}
	case bool:
		return &v3.DefaultType{Oneof: &v3.DefaultType_Boolean{Boolean: v}}
	case int:
		return &v3.DefaultType{Oneof: &v3.DefaultType_Number{Number: float64(v)}}
	}
	return &v3.DefaultType{}
}

func extensionsV3(list []Extension) []*v3.NamedAny {
	var out []*v3.NamedAny
	for _, e := range list {
		out = append(out, &v3.NamedAny{Name: e.Name, Value: &v3.Any{Yaml: string(encoded(e.Value)) + "\n"}})
	}
	return out
}
