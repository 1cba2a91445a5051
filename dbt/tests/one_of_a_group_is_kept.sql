-- Two kept clips of one group of copies: must be none.
select group_head, first_id, second_id
from {{ ref('fct_duplicates') }}
where is_copy and group_head is not null and first_status = 'kept' and second_status = 'kept'
