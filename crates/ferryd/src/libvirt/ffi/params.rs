//! libvirt's typed parameters, in and out.

use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::ptr;

use virt_sys as sys;

use super::{Result, c_string, check};

/// A value of libvirt's typed parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedValue {
    /// Any of the integer types.
    Int(i64),
    /// An unsigned 64-bit integer.
    UInt(u64),
    /// A floating point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
}

impl TypedValue {
    /// The value as an unsigned number, where it is one.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some(*value),
            _ => None,
        }
    }
}

/// Typed parameters by name.
pub type TypedParams = HashMap<String, TypedValue>;

/// Reads typed parameters that libvirt owns.
///
/// # Safety
/// `params` points to `count` valid parameters.
pub(super) unsafe fn read_params(params: sys::virTypedParameterPtr, count: c_int) -> TypedParams {
    let count = usize::try_from(count).unwrap_or(0);
    if params.is_null() || count == 0 {
        return TypedParams::new();
    }
    // SAFETY: the caller vouches for pointer and length; null was sorted out above (an idle domain's job has none).
    let params = unsafe { std::slice::from_raw_parts(params, count) };
    params
        .iter()
        .map(|param| {
            // SAFETY: libvirt fills `field` with a terminated text and the member of `value` that `type_` names.
            unsafe {
                let name = CStr::from_ptr(param.field.as_ptr()).to_string_lossy().into_owned();
                let value = match param.type_ as sys::virTypedParameterType {
                    sys::VIR_TYPED_PARAM_INT => TypedValue::Int(param.value.i.into()),
                    sys::VIR_TYPED_PARAM_UINT => TypedValue::Int(param.value.ui.into()),
                    sys::VIR_TYPED_PARAM_LLONG => TypedValue::Int(param.value.l),
                    sys::VIR_TYPED_PARAM_ULLONG => TypedValue::UInt(param.value.ul),
                    sys::VIR_TYPED_PARAM_DOUBLE => TypedValue::Double(param.value.d),
                    sys::VIR_TYPED_PARAM_BOOLEAN => TypedValue::Bool(param.value.b != 0),
                    _ if param.value.s.is_null() => TypedValue::Text(String::new()),
                    _ => TypedValue::Text(CStr::from_ptr(param.value.s).to_string_lossy().into_owned()),
                };
                (name, value)
            }
        })
        .collect()
}

/// Typed parameters on their way into libvirt; freed by libvirt's own function.
pub(super) struct ParamList {
    pub(super) params: sys::virTypedParameterPtr,
    pub(super) count: c_int,
    capacity: c_int,
}

impl ParamList {
    pub(super) fn build(values: &[(&CStr, TypedValue)]) -> Result<Self> {
        let mut list = Self { params: ptr::null_mut(), count: 0, capacity: 0 };
        for (name, value) in values {
            list.add(name, value)?;
        }
        Ok(list)
    }

    fn add(&mut self, name: &CStr, value: &TypedValue) -> Result<()> {
        let (params, count, capacity) = (&raw mut self.params, &raw mut self.count, &raw mut self.capacity);
        // SAFETY: the three pointers are this list's own; libvirt reallocates the array and copies name and text.
        let result = unsafe {
            match value {
                TypedValue::Text(text) => {
                    let text = c_string(text)?;
                    sys::virTypedParamsAddString(params, count, capacity, name.as_ptr(), text.as_ptr())
                }
                TypedValue::Int(number) => sys::virTypedParamsAddInt(
                    params,
                    count,
                    capacity,
                    name.as_ptr(),
                    c_int::try_from(*number).unwrap_or(c_int::MAX),
                ),
                TypedValue::UInt(number) => {
                    sys::virTypedParamsAddULLong(params, count, capacity, name.as_ptr(), *number)
                }
                TypedValue::Bool(truth) => {
                    sys::virTypedParamsAddBoolean(params, count, capacity, name.as_ptr(), c_int::from(*truth))
                }
                TypedValue::Double(number) => {
                    sys::virTypedParamsAddDouble(params, count, capacity, name.as_ptr(), *number)
                }
            }
        };
        check(result).map(drop)
    }
}

impl Drop for ParamList {
    fn drop(&mut self) {
        // SAFETY: `params` came from virTypedParamsAdd* or is null, which the function takes.
        unsafe { sys::virTypedParamsFree(self.params, self.count) }
    }
}
